"""No request of one organization reaches another, generated from the document."""

import re
from typing import Any

import pytest
from prometheus_client import generate_latest
from werkzeug.test import TestResponse

from common.ids import new_id
from tests.integration.web.attacks.conftest import (
    CANARY,
    Ask,
    Document,
    body_of,
    lists,
    operations,
    real,
    with_json,
)
from tests.integration.web.conftest import Member, problem_of

PUBLIC = {("GET", "/v1/organizations/{org_id}")}
"""What shows a part of itself to everybody, which has a test of its own."""


def test_what_belongs_to_another_is_absent_like_what_never_was(
    document: Document, things: dict[str, str], stranger: Member, admin: Member
) -> None:
    tried = 0
    for method, path, operation in operations(document):
        if "{" not in path or operation["tags"][0].startswith(("Operators", "Platform")):
            continue
        if (method, path) in PUBLIC:
            continue
        theirs, nobodys = path, path
        for name, one_id in things.items():
            if name in theirs:
                kept = name.split("{")[0]
                theirs = theirs.replace(name, kept + one_id)
                nobodys = nobodys.replace(name, kept + new_id())
        assert "{" not in theirs, f"say in `things` what {path} names"
        body = body_of(document, operation)
        before = lists(document, admin)

        crossing, absent = (stranger(method, one, json=body) for one in (theirs, nobodys))

        assert crossing.status_code == 404, (method, path, crossing.text)
        assert said(crossing) == said(absent), path
        assert lists(document, admin) == before
        tried += 1
    print(f"{tried} operations tried with the id of another organization's thing, all refused")
    assert tried >= 12


def said(answer: TestResponse) -> dict[str, Any]:
    """Return a problem without what differs by nature: the path that was asked for, and the request."""
    return {name: value for name, value in answer.json.items() if name not in {"instance", "request_id"}}


def test_a_canary_shows_in_no_answer_to_another(
    document: Document, things: dict[str, str], stranger: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for method, path, operation in operations(document):
        if operation["tags"][0] == "Platform" or path.endswith("/events"):
            continue
        sent = path
        for name, one_id in things.items():
            sent = sent.replace(name, name.split("{")[0] + one_id)
        answer = stranger(method, sent.replace("{", "").replace("}", ""), json={})

        assert CANARY not in answer.text, (method, path)
    assert CANARY not in capsys.readouterr().out
    assert CANARY not in generate_latest().decode()


@pytest.mark.parametrize("header", ["X-Tenant-Id", "X-Org-Id", "X-Organization", "X-Forwarded-User"])
def test_no_header_widens_a_token(things: dict[str, str], stranger: Member, admin: Member, header: str) -> None:
    answer = stranger("GET", "/v1/jobs", headers={header: admin.org_id})

    assert (answer.status_code, answer.json["items"]) == (200, [])
    problem_of(stranger("GET", f"/v1/jobs/{things['{job_id}']}", headers={header: admin.org_id}), 404)


@pytest.mark.parametrize(
    "query", ["org_id={}", "tenant={}", "org_id[$ne]=x", "filter={{}}", "sort=org_id", "fields=*"]
)
def test_no_parameter_widens_a_list(stranger: Member, admin: Member, query: str) -> None:
    for path in ("/v1/jobs", "/v1/tickets", "/v1/kinds"):
        problem = problem_of(stranger("GET", f"{path}?{query.format(admin.org_id)}"), 422)
        assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]


def test_a_key_of_another_organization_is_a_key_of_ones_own(stranger: Member, admin: Member) -> None:
    headers = {"Idempotency-Key": "shared"}

    mine, theirs = (
        who("POST", "/v1/kinds/jobs.rehearse/jobs", json={"payload": {"steps": 1}}, headers=headers)
        for who in (admin, stranger)
    )

    assert mine.json["id"] != theirs.json["id"]
    assert "Idempotency-Replayed" not in theirs.headers


MASS = ("org_id", "tenant_id", "_id", "id", "state", "role", "token", "attempts", "created_at", "submitted_by")


def test_no_body_sets_what_it_may_not(document: Document, ask: Ask) -> None:
    for method, path, body, role in with_json(document):
        for name in MASS:
            if name in body:
                continue
            answer = ask(role, method, real(path), json={**body, name: "x"})

            if answer.status_code in {404, 412}:  # there is no such thing, which was looked for first
                continue
            problem = problem_of(answer, 422)
            assert f"/{name}" in {fault["pointer"] for fault in problem["errors"]}, (path, name)


def test_members_and_admins_may_do_nothing_of_an_operator(document: Document, admin: Member) -> None:
    tried = 0
    for method, path, operation in operations(document):
        if operation["tags"][0].startswith("Operators"):
            sent = re.sub(r"{(job|org|key|user)_id}", new_id(), path).replace("{", "").replace("}", "")
            problem = problem_of(admin(method, sent, json={}), 403)
            assert problem["type"] == "/problems/forbidden", path
            tried += 1
    assert tried >= 25
