"""The API around real services, without a server: requests are made in process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.caller import Role
from common.ids import PLATFORM, OrgId
from common.services import Services
from tests.integration.conftest import Slot, make_organization, make_person
from web.app import create_app


@pytest.fixture
def app(services: Services) -> Flask:
    """Return the application."""
    return create_app(services)


@pytest.fixture
def anonymous(app: Flask) -> FlaskClient:
    """Return a client without credentials."""
    return app.test_client()


@dataclass
class Member:
    """A client with somebody's token."""

    http: FlaskClient
    org_id: OrgId
    token: str
    user_id: str = ""

    def __call__(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return self.http.open(path, method=method, headers=headers, **options)


@pytest.fixture
def member_of(app: Flask, services: Services) -> Callable[..., Member]:
    """Return a function that signs somebody new in to an organization."""

    def sign_in(org_id: OrgId, role: Role = "admin") -> Member:
        person = make_person(services, org_id, role)
        return Member(app.test_client(), org_id, services.sessions.begin(person).access_token, person.user_id)

    return sign_in


@pytest.fixture
def admin(member_of: Callable[..., Member], org_id: OrgId) -> Member:
    """Return an admin of the organization."""
    return member_of(org_id)


@pytest.fixture
def stranger(member_of: Callable[..., Member], services: Services) -> Member:
    """Return an admin of another organization."""
    return member_of(make_organization(services, "Other"))


@pytest.fixture
def provisioner(services: Services) -> Slot:
    """Return a slot that provisions organizations."""
    return Slot(services)


@pytest.fixture
def operator(member_of: Callable[..., Member]) -> Member:
    """Return an operator of the platform."""
    return member_of(PLATFORM, "operator")


def items(operator: Member, what: str, **query: Any) -> list[dict[str, Any]]:
    """Return the first page of one of the operators' lists."""
    answer = operator("GET", f"/v1/operations/{what}", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["items"]
    return found


def problem_of(response: TestResponse, status: int) -> dict[str, Any]:
    """Check that *response* is a problem of that status, and return it."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = response.get_json(force=True)
    assert body["status"] == status
    assert body["type"].startswith("/problems/")
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body
