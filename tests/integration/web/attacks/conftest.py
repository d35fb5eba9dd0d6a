"""Every operation of the document, with bodies that are valid, and who may ask for them."""

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import orjson
import pytest
from common.probe.be_quick import BeQuick
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.ids import new_id
from common.jobs.kind import KINDS
from common.services import Services
from common.sources import logs
from common.tickets.collections import REFUSED_ROWS
from common.tickets.import_file import ImportFile
from tests.integration.conftest import Slot, caller_of, make_person
from tests.integration.web.conftest import Member

CANARY = "canary-5d1f0c"
JSON = "application/json"
Document = Mapping[str, Any]


@pytest.fixture
def document(anonymous: FlaskClient) -> Document:
    """Return the contract."""
    found: Document = anonymous.get("/openapi.json").json
    return found


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through all operations: method, path and description."""
    for path, described in document["paths"].items():
        for method, operation in described.items():
            if method != "parameters":
                yield method.upper(), path, operation


def with_json(document: Document) -> list[tuple[str, str, dict[str, Any], str]]:
    """List the operations with a JSON body: method, path, a body that is valid, and the role that may."""
    found = []
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if JSON in content:
            found.append((method, path, sample(document, content[JSON]["schema"]), role_for(path, operation)))
    assert len(found) >= 8
    return found


def role_for(path: str, operation: Mapping[str, Any]) -> str:
    """Return the role that may do an operation."""
    kind = KINDS.get(path.removeprefix("/v1/kinds/").removesuffix("/jobs"))
    for_operators = operation["tags"][0].startswith("Operators") or (kind and "admin" not in kind.open_to)
    return "operator" if for_operators else "admin"


def sample(document: Document, schema: Mapping[str, Any]) -> Any:
    """Make a value that *schema* takes, with every field."""
    if "$ref" in schema:
        return sample(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    if "anyOf" in schema:
        return sample(document, schema["anyOf"][0])
    kinds = schema.get("type", "object")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if "enum" in schema:
        return next(one for one in schema["enum"] if one is not None)
    if kind == "object":
        return {name: sample(document, inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return []
    if kind == "string":
        if schema.get("format") == "date-time":
            return "2026-01-31T09:30:00Z"
        return schema.get("example") or "x" * max(8, schema.get("minLength", 1))
    return {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 0), "boolean": True}[kind]


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Go through the places of all plain values in *value*."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    else:
        yield path


def put(body: Any, place: tuple[str, ...], value: Any) -> Any:
    """Return a copy of *body* with *value* at *place*."""
    copy = orjson.loads(orjson.dumps(body))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return copy


@pytest.fixture
def ask(admin: Member, operator: Member) -> Callable[..., TestResponse]:
    """Return a function that asks as whoever may."""

    def send(role: str, method: str, path: str, **options: Any) -> TestResponse:
        who = operator if role == "operator" else admin
        headers = {"If-Match": '"none"', **options.pop("headers", {})}
        return who(method, path.replace("{", "").replace("}", ""), headers=headers, **options)

    return send


def real(path: str) -> str:
    """Return *path* with ids in it that nothing has."""
    return re.sub(r"{\w+_id}", lambda _: new_id(), path).replace("{tier}", "free")


Ask = Callable[..., TestResponse]


@pytest.fixture
def things(services: Services, admin: Member) -> dict[str, str]:
    """Return an id of each thing that a path can name, all of one organization."""
    who = caller_of(admin.org_id)
    lines = BytesIO(orjson.dumps({"message": CANARY, "external_id": CANARY}))
    accepted = admin("POST", "/v1/tickets/imports", data={"file": (lines, "a.jsonl"), "source": CANARY})
    Slot(services).step("tickets")
    job = services.submit(who, BeQuick(), tags=[CANARY])
    user_id = make_person(services, admin.org_id, "member", name=CANARY).user_id
    asked = {"name": CANARY, "scopes": ["jobs:read"]}
    key_id = admin("POST", "/v1/api-keys", json=asked).json["id"]
    session_id = admin("GET", "/v1/sessions").json["items"][0]["id"]
    archive = admin("POST", "/v1/archives").json["id"]
    Slot(services).step("organizations")
    spans = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
    report = admin("POST", "/v1/analytics/reports", json={"kind": "tickets", "format": "csv", **spans}).json["id"]
    Slot(services).step("analytics")
    room = admin("POST", "/v1/rooms", json={"name": CANARY}).json["id"]
    sent = shared_zip(services, admin, room)
    (file,) = admin("GET", f"/v1/rooms/{room}/files").json["items"]
    (ticket,) = admin("GET", "/v1/tickets").json["items"]
    source, run = ingested(services, admin)
    assert services.jobs.get(admin.org_id, accepted.json["id"]).kind == ImportFile.name
    return {
        "/v1/tickets/imports/{job_id}": accepted.json["id"],
        "/v1/ingestion-logs/{job_id}": run,
        "{source_id}": source,
        "{job_id}": job.id,
        "{ticket_id}": ticket["id"],
        "{user_id}": user_id,
        "{key_id}": key_id,
        "{org_id}": admin.org_id,
        "{archive_id}": archive,
        "{report_id}": report,
        "{session_id}": session_id,
        "{room_id}": room,
        "{file_id}": file["id"],
        "/v1/files/imports/{job_id}": sent,
    }


def ingested(services: Services, admin: Member) -> tuple[str, str]:
    """Set a source up and begin a run of it; return the ids of both."""
    asked = {
        "name": CANARY,
        "connector": "github_issues",
        "base_url": f"https://api.github.com/repos/acme/{CANARY}",
    }
    source = admin("POST", "/v1/sources", json=asked | {"credentials": {"token": CANARY}}).json["id"]
    run = admin("POST", f"/v1/sources/{source}/ingestions", json={}).json["id"]
    scope = services.scope(admin.org_id)
    logs.begin(scope, run, source, "incremental", services.clock.now())
    row = {"_id": new_id(), "job_id": run, "line": 1, "column": CANARY, "reason": CANARY}
    scope[REFUSED_ROWS].insert_one(row)
    return source, run


def shared_zip(services: Services, admin: Member, room: str) -> str:
    """Share a zip of one file in a room; return its job's id."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr(CANARY, CANARY)
    headers = {"Content-Disposition": f"attachment; filename={CANARY}.zip"}
    sent = admin("POST", f"/v1/rooms/{room}/files", data=archive.getvalue(), headers=headers)
    for _ in range(3):  # the archive, its one group, and the archive again
        Slot(services).step("files")
    return str(sent.json["id"])


FIXED = {
    "/v1/analytics/tickets": "?from=2025-01-01T00:00:00Z&to=2034-01-01T00:00:00Z",
    "/v1/analytics/usage": "?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z",
}
"""What else would be of the last days, and so another with each look."""


def lists(document: Document, who: Member) -> dict[str, bytes]:
    """Return all that *who* sees in the tenants' lists, and counted over years, but for the moment of the look."""
    asked = {
        path: who("GET", path + FIXED.get(path, ""))
        for method, path, operation in operations(document)
        if method == "GET" and "{" not in path and not operation["tags"][0].startswith(("Operators", "Platform"))
    }
    found = {path: answer.data for path, answer in asked.items() if answer.status_code == 200}
    assert FIXED.keys() <= found.keys()
    return {path: re.sub(rb'"as_of":"[^"]*"', b"", data) for path, data in found.items()}


def body_of(document: Document, operation: Mapping[str, Any]) -> Any:
    """Return a body that *operation* takes, or none."""
    content = operation.get("requestBody", {}).get("content", {})
    return sample(document, content[JSON]["schema"]) if JSON in content else {}
