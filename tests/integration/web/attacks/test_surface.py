"""What the API shows of itself: guarded, without versions, hosts or traces."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.config import Settings
from common.ids import PLATFORM
from common.services import Services
from tests.integration.web.attacks.conftest import Document
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app


def test_every_answer_is_guarded_and_tells_no_version(document: Document, admin: Member) -> None:
    for path in [*document["paths"], "/nothing", "/openapi.json"]:
        answer = admin("GET", path.replace("{", "").replace("}", ""))
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "unsafe-eval" not in headers["Content-Security-Policy"]
        assert "no-store" in headers["Cache-Control"] or path.startswith(("/assets", "/openapi", "/.well-known"))
        assert "X-Powered-By" not in headers


def test_production_keeps_browsers_on_tls(settings: Settings) -> None:
    live = create_app(Services(settings.model_copy(update={"env": "production"}))).test_client()

    assert "max-age" in live.get("/healthz").headers["Strict-Transport-Security"]


def test_what_anybody_may_see_names_no_server(anonymous: FlaskClient, settings: Settings) -> None:
    address = settings.mongo_url.get_secret_value().split("//")[1].split("/")[0]

    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/problems"):
        assert address not in anonymous.get(path).text


def test_an_unexpected_error_shows_nothing_of_itself(
    app: Flask, admin: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(Services, "submit", breaks)
    answer = admin("POST", "/v1/kinds/jobs.rehearse/jobs", json={"payload": {}})

    problem = problem_of(answer, 500)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert problem["type"] == "/problems/internal"
    del app


def test_the_platforms_own_organization_is_nobodys(admin: Member, operator: Member) -> None:
    assert operator.org_id == PLATFORM
    problem_of(operator("GET", "/v1/tickets"), 403)
    assert admin("GET", "/v1/jobs").json["items"] == []
