"""The conventions that every operation keeps."""

import base64
import hashlib
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from common.probe.be_quick import BeQuick
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from common.config import Settings
from common.ids import OrgId, new_id
from common.services import Services
from tests.integration.conftest import Slot, caller_of, token_of
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app
from web.contract.problems import TITLES

SIGN_UP = {"name": "Acme", "slug": "acme", "admin": {"email": "ada@acme.example", "password": "a good password"}}


def test_a_sign_up_becomes_an_organization_and_its_admin_signs_in(
    anonymous: FlaskClient, provisioner: Slot
) -> None:
    answer = anonymous.post("/v1/organizations", json=SIGN_UP)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['id']}"
    assert answer.headers["Retry-After"]

    assert provisioner.step("organizations").state == "succeeded"

    reader = {"Authorization": f"Bearer {answer.json['job_token']}"}
    job = anonymous.get(answer.headers["Location"], headers=reader)
    assert job.json["result"]["slug"] == "acme"
    token = anonymous.post("/v1/auth/token", json={"organization": "acme", **SIGN_UP["admin"]})
    assert (token.status_code, token.json["token_type"], token.json["expires_in"]) == (200, "Bearer", 900)


def test_a_job_token_reads_its_one_job_and_nothing_else(
    anonymous: FlaskClient, services: Services, caller: Any
) -> None:
    mine, other = (services.submit(caller, BeQuick()) for _ in range(2))
    headers = {"Authorization": f"Bearer {services.tokens.issue_job_token(caller.org_id, mine.id)}"}

    assert anonymous.get(f"/v1/jobs/{mine.id}", headers=headers).status_code == 200
    problem_of(anonymous.get(f"/v1/jobs/{other.id}", headers=headers), 404)
    problem_of(anonymous.get("/v1/jobs", headers=headers), 403)
    problem_of(anonymous.post(f"/v1/jobs/{mine.id}/cancel", headers=headers), 403)


def test_a_slug_is_given_once(anonymous: FlaskClient, provisioner: Slot) -> None:
    assert anonymous.post("/v1/organizations", json=SIGN_UP).status_code == 202

    problem_of(anonymous.post("/v1/organizations", json=SIGN_UP), 409)
    provisioner.step("organizations")
    problem_of(anonymous.post("/v1/organizations", json=SIGN_UP), 409)


@pytest.mark.parametrize("slug", ["a", "-a", "a-", "a--b", "Ab", "admin", "ä", "a" * 78, "a_b", "a b"])
def test_a_slug_has_its_shape(anonymous: FlaskClient, slug: str) -> None:
    problem = problem_of(anonymous.post("/v1/organizations", json={**SIGN_UP, "slug": slug}), 422)

    assert problem["errors"][0]["pointer"] == "/slug"


@pytest.mark.parametrize("more", [{"tier": "standard"}, {"isolation": "dedicated"}])
def test_a_sign_up_is_free_and_pooled(anonymous: FlaskClient, more: dict[str, str]) -> None:
    problem = problem_of(anonymous.post("/v1/organizations", json={**SIGN_UP, **more}), 403)

    assert problem["type"] == "/problems/forbidden"


def test_wrong_organization_address_and_password_are_one_answer(anonymous: FlaskClient, provisioner: Slot) -> None:
    anonymous.post("/v1/organizations", json=SIGN_UP)
    provisioner.step("organizations")
    right = {"organization": "acme", **SIGN_UP["admin"]}
    wrong = [
        {"organization": "other"},
        {"email": "bob@acme.example"},
        {"password": "wrong"},
        {"email": "no address"},
    ]

    answers = [problem_of(anonymous.post("/v1/auth/token", json={**right, **one}), 401) for one in wrong]

    assert len({answer["detail"] for answer in answers}) == 1


def test_unknown_and_missing_fields_are_named(anonymous: FlaskClient) -> None:
    problem = problem_of(anonymous.post("/v1/auth/token", json={"email": 1, "extra": 2}), 422)

    assert {fault["pointer"] for fault in problem["errors"]} == {"/email", "/password", "/extra"}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "application/json; charset=utf-16", 415),
        (b"", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"NaN", "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "application/json", 422),
        (b"\xff\xfe", "application/json", 400),
        (b" " * 2_000_000, "application/json", 413),
    ],
)
def test_a_body_that_can_not_be_read_is_refused_by_its_fault(
    anonymous: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    problem = problem_of(anonymous.post("/v1/auth/token", data=body, content_type=content_type), status)

    assert problem["detail"]


def test_a_compressed_body_is_refused(anonymous: FlaskClient) -> None:
    headers = {"Content-Encoding": "gzip"}

    problem = problem_of(anonymous.post("/v1/auth/token", json={}, headers=headers), 415)

    assert problem["type"] == "/problems/wrong-media-type"


def test_unknown_addresses_methods_and_forms_are_problems(anonymous: FlaskClient) -> None:
    problem_of(anonymous.get("/nothing"), 404)
    wrong_method = anonymous.delete("/v1/auth/token")
    problem_of(wrong_method, 405)
    assert "POST" in wrong_method.headers["Allow"]
    problem_of(anonymous.get("/healthz", headers={"Accept": "application/xml"}), 406)


@pytest.mark.parametrize("code", TITLES)
def test_each_type_of_problem_is_a_page(anonymous: FlaskClient, code: str) -> None:
    page = anonymous.get(f"/problems/{code}")

    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert TITLES[code].split("'")[0] in page.text


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer x"), ("Authorization", "Bearer y")],
        [("Authorization", "Bearer x.y.z")],
        [("Authorization", "Bearer " + "x" * 10_000)],
        [("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.")],
    ],
)
def test_without_one_good_token_nobody_gets_in(anonymous: FlaskClient, headers: list[tuple[str, str]]) -> None:
    answer = anonymous.get("/v1/jobs", headers=headers)

    problem_of(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_in_the_query_is_no_credential(anonymous: FlaskClient, admin: Member) -> None:
    problem = problem_of(anonymous.get(f"/v1/jobs?access_token={admin.token}"), 401)

    assert problem["type"] == "/problems/unauthenticated"


def test_another_organizations_things_are_absent(admin: Member, stranger: Member, services: Services) -> None:
    job = services.submit(caller_of(admin.org_id), BeQuick())

    for method, path in [("GET", ""), ("POST", "/cancel"), ("POST", "/retry")]:
        theirs = problem_of(stranger(method, f"/v1/jobs/{job.id}{path}"), 404)
        nobodys = problem_of(stranger(method, f"/v1/jobs/{new_id()}{path}"), 404)
        assert theirs["detail"] == nobodys["detail"]
    assert stranger("GET", "/v1/jobs").json["items"] == []


def test_the_same_key_gives_the_same_answer_and_one_job(admin: Member, services: Services) -> None:
    files = {"data": {"file": (b"message\nhello\n", "a.csv")}}

    def post(key: str, content: bytes = b"message\nhello\n") -> Any:
        from io import BytesIO

        data = {"file": (BytesIO(content), "a.csv")}
        return admin("POST", "/v1/tickets/imports", data=data, headers={"Idempotency-Key": key})

    first, second, quoted = post("k1"), post("k1"), post('"k1"')

    assert first.status_code == second.status_code == quoted.status_code == 202, first.text
    assert first.data == second.data == quoted.data
    assert (first.headers.get("Idempotency-Replayed"), second.headers["Idempotency-Replayed"]) == (None, "true")
    problem = problem_of(post("k1", b"message\nother\n"), 422)
    assert problem["type"] == "/problems/idempotency-key-reused"
    assert len(services.jobs.page(admin.org_id, limit=10)) == 1
    assert len(list((services.settings.data_dir / "blobs").rglob("*-*"))) == 1
    del files


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä", '"unclosed'])
def test_a_key_has_its_shape(admin: Member, key: str) -> None:
    from io import BytesIO

    data = {"file": (BytesIO(b"message\nhello\n"), "a.csv")}
    answer = admin("POST", "/v1/tickets/imports", data=data, headers={"Idempotency-Key": key})

    if key == '"unclosed':
        assert answer.status_code == 202
    else:
        problem_of(answer, 422)


def test_forty_at_once_with_one_key_make_one_job(app: Flask, services: Services, org_id: OrgId) -> None:
    failed = services.submit(caller_of(org_id), BeQuick())
    services.submitter.cancel(org_id, failed.id)
    token = token_of(services, org_id)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    answers = []

    def retry() -> None:
        answers.append(app.test_client().post(f"/v1/jobs/{failed.id}/retry", headers=headers))

    threads = [threading.Thread(target=retry) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.data for answer in answers if answer.status_code == 202}) == 1
    assert services.jobs.get(org_id, failed.id).run == 2


def test_forty_at_once_with_one_key_submit_one_job(app: Flask, services: Services, org_id: OrgId) -> None:
    token = token_of(services, org_id)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    answers = []

    def submit() -> None:
        path = "/v1/kinds/jobs.rehearse/jobs"
        answers.append(app.test_client().post(path, headers=headers, json={"payload": {"steps": 2}}))

    threads = [threading.Thread(target=submit) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.data for answer in answers if answer.status_code == 202}) == 1
    assert services.control.jobs.count_documents({"org_id": org_id}) == 1
    replayed = app.test_client().post(
        "/v1/kinds/jobs.rehearse/jobs", headers=headers, json={"payload": {"steps": 2}}
    )
    assert replayed.headers["Idempotency-Replayed"] == "true"
    other = app.test_client().post("/v1/kinds/jobs.rehearse/jobs", headers=headers, json={"payload": {"steps": 3}})
    problem_of(other, 422)


def test_a_repeated_sign_up_learns_where_its_job_is_and_no_secret(anonymous: FlaskClient) -> None:
    headers = {"Idempotency-Key": "sign-up"}
    first = anonymous.post("/v1/organizations", json=SIGN_UP, headers=headers)

    again = problem_of(anonymous.post("/v1/organizations", json=SIGN_UP, headers=headers), 409)

    assert again["job"] == f"/v1/jobs/{first.json['id']}"
    assert "job_token" not in again


def test_pages_show_each_job_once_while_more_come(admin: Member, services: Services) -> None:
    made = [services.submit(caller_of(admin.org_id), BeQuick()).id for _ in range(7)]
    seen, path = [], "/v1/jobs?limit=3"
    while path:
        page = admin("GET", path)
        seen += [job["id"] for job in page.json["items"]]
        services.submit(caller_of(admin.org_id), BeQuick())
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert seen == made[::-1]


def test_pages_show_each_job_once_while_others_go(admin: Member, services: Services) -> None:
    made = [services.submit(caller_of(admin.org_id), BeQuick()).id for _ in range(9)]
    seen, path, gone = [], "/v1/jobs?limit=3", iter(made)
    while path:
        page = admin("GET", path)
        seen += [job["id"] for job in page.json["items"]]
        for _ in range(2):  # one that is still to come, and the one that the cursor names
            services.control.jobs.delete_one({"_id": next(gone), "org_id": admin.org_id})
        services.control.jobs.delete_one({"_id": seen[-1], "org_id": admin.org_id})
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert len(seen) == len(set(seen))
    assert seen == [one for one in made[::-1] if one in seen]
    assert set(seen) >= set(made[4:])


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=YWJj", "state=done", "unknown=1", "since=yesterday"],
)
def test_a_bad_parameter_is_named(admin: Member, query: str) -> None:
    problem = problem_of(admin("GET", f"/v1/jobs?{query}"), 422)

    assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]


def test_a_cursor_of_another_list_is_refused(admin: Member, stranger: Member, services: Services) -> None:
    for _ in range(3):
        services.submit(caller_of(admin.org_id), BeQuick())
    cursor = admin("GET", "/v1/jobs?limit=1").json["next_cursor"]

    for answer in (
        stranger("GET", f"/v1/jobs?limit=1&cursor={cursor}"),
        admin("GET", f"/v1/jobs?limit=1&state=queued&cursor={cursor}"),
    ):
        assert problem_of(answer, 422)["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize("place", [7, None, [1], ["x", "y"], ["0001-01-01T00:00:00+23:59", "x"], {"$gt": ""}])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/tickets"])
def test_a_cursor_that_somebody_wrote_by_hand_is_refused(admin: Member, path: str, place: Any) -> None:
    asked = {
        "/v1/jobs": [["kind", "None"], ["since", "None"], ["state", "None"]],
        "/v1/tickets": [["since", "None"], ["source_id", "None"], ["status", "None"], ["until", "None"]],
    }[path]
    mark = hashlib.sha256(orjson.dumps([admin.org_id, path, asked])).hexdigest()[:16]
    cursor = base64.urlsafe_b64encode(orjson.dumps([mark, place])).decode().rstrip("=")

    assert problem_of(admin("GET", f"{path}?cursor={cursor}"), 422)["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize(("path", "name"), [("/v1/jobs", "since"), ("/v1/tickets", "from"), ("/v1/tickets", "to")])
@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"])
def test_an_instant_beyond_the_calendar_is_refused(admin: Member, path: str, name: str, instant: str) -> None:
    problem = problem_of(admin("GET", f"{path}?{name}={instant}"), 422)

    assert problem["errors"][0]["parameter"] == name


def test_a_known_etag_is_answered_without_a_body(admin: Member, services: Services) -> None:
    job = services.submit(caller_of(admin.org_id), BeQuick())
    first = admin("GET", f"/v1/jobs/{job.id}")
    assert not first.headers["ETag"].startswith("W/")

    again = admin("GET", f"/v1/jobs/{job.id}", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("x" * 200, False), ("a b", False), ("ä", False)])
def test_a_sane_request_id_is_kept(anonymous: FlaskClient, given: str, *, kept: bool) -> None:
    answer = anonymous.get("/healthz", headers={"X-Request-ID": given})

    assert (answer.headers["X-Request-ID"] == given) == kept


def test_an_operator_signs_in_only_from_its_networks(services: Services, app: Flask) -> None:
    from common.organizations.operator_account import ensure_operator

    password = ensure_operator(services.control, services.settings, services.clock)
    body = {"email": services.settings.operator_email, "password": password}

    here = app.test_client().post("/v1/auth/token", json=body)
    there = app.test_client().post("/v1/auth/token", json=body, environ_base={"REMOTE_ADDR": "192.0.2.1"})

    assert (here.status_code, there.status_code) == (200, 401)


def test_without_redis_a_job_is_accepted_and_readiness_says_what_is_missing(
    settings: Settings, services: Services, member_of: Callable[[OrgId], Member], org_id: OrgId
) -> None:
    from io import BytesIO

    token = member_of(org_id).token
    nowhere = settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://127.0.0.1:1/0")})
    client = create_app(Services(nowhere)).test_client()
    data = {"file": (BytesIO(b"message\nhello\n"), "a.csv")}

    accepted = client.post("/v1/tickets/imports", data=data, headers={"Authorization": f"Bearer {token}"})

    assert accepted.status_code == 202
    assert client.get("/readyz").json == {"status": "ready", "degraded": ["redis"]}
    assert services.jobs.get(org_id, accepted.json["id"]).state == "queued"


def test_without_mongodb_nothing_is_accepted_and_nothing_crashes(settings: Settings, admin: Member) -> None:
    away = "mongodb://127.0.0.1:1/?replicaSet=fairway&serverSelectionTimeoutMS=200"
    nowhere = settings.model_copy(update={"mongo_url": type(settings.mongo_url)(away)})
    client = create_app(Services(nowhere)).test_client()

    answer = client.post("/v1/organizations", json=SIGN_UP)

    problem_of(answer, 503)
    assert answer.headers["Retry-After"]
    assert client.get("/readyz").status_code == 503
    del admin


def test_the_document_describes_every_operation_and_its_problems(anonymous: FlaskClient, app: Flask) -> None:
    document = anonymous.get("/openapi.json").json

    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "parameters"
    }
    served = {
        (method, rule.rule.replace("<string:", "{").replace("<id:", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule != "/openapi.json"
    }
    assert document["openapi"] == "3.1.0"
    assert served <= described
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                assert "422" in operation["responses"], (path, method)


def test_the_document_is_valid_and_bounds_every_input(anonymous: FlaskClient) -> None:
    document = anonymous.get("/openapi.json").json

    assert [str(fault)[:500] for fault in OpenAPIV31SpecValidator(document).iter_errors()] == []
    unbounded = [
        (path, method, where)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for where, schema in _inputs(path, operation)
        for fault in [_unbounded(schema, document["components"]["schemas"])]
        if fault
    ]
    assert unbounded == []


def test_every_answer_with_a_body_has_an_example(anonymous: FlaskClient) -> None:
    for path, operations in anonymous.get("/openapi.json").json["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items() if method != "parameters" else ():
                for media, content in answer.get("content", {}).items():
                    is_page = media in {"text/html", "application/octet-stream"}
                    assert is_page or "example" in content or "examples" in content, (path, method, status)


LENIENT = {"X-Request-ID", "traceparent", "If-None-Match", "Last-Event-ID"}
"""Headers of which what is not understood is ignored."""


def _inputs(path: str, operation: Any) -> Any:
    parameters = operation if isinstance(operation, list) else operation.get("parameters", [])
    for one in parameters:
        if one["name"] not in LENIENT:
            yield one["name"], one["schema"]
    if isinstance(operation, dict):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield "body", content["schema"]
    del path


def _unbounded(schema: Any, known: Any) -> bool:
    """Tell whether some text, number or list in *schema* has no end."""
    if "$ref" in schema:
        return _unbounded(known[schema["$ref"].rsplit("/", 1)[-1]], known)
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "string" in kinds and not {"maxLength", "enum", "format", "pattern"} & set(schema):
        return True
    if {"integer", "number"} & set(kinds) and not {"minimum", "maximum"} <= set(schema):
        return True
    if "array" in kinds and ("maxItems" not in schema or _unbounded(schema["items"], known)):
        return True
    return any(_unbounded(inner, known) for inner in schema.get("properties", {}).values())
