"""The OpenAPI 3.1 document: what every operation has in common is added here, in one place."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import marshmallow as ma
from flask import Flask
from flask_smorest import Api

from web.contract import common_parts, limits, paths
from web.contract.json_bodies import BODY_MAX_BYTES, DEPTH_MAX, ITEMS_MAX
from web.contract.problems import MEDIA_TYPE, STATUSES, TITLES
from web.contract.shapes import Shape

DOCUMENT_PATH = "/openapi.json"
_DESCRIPTION = f"""Heavy work is accepted at once and answered with a job; look at the job for its end, wait
for it with `?wait=`, or let its changes stream to you.

**Input.** A JSON body has at most {BODY_MAX_BYTES:,} bytes, is nested at most {DEPTH_MAX} deep and holds at
most {ITEMS_MAX:,} values; no field stands in it twice, and no text holds NUL. Fields and parameters that an
operation does not know are refused by name.

**Answers.** Times are RFC 3339 in UTC. Every answer carries `X-Request-ID`. Errors are problem documents (RFC
9457), whose [types](/problems) say what to do. What belongs to another organization is absent, like what never
was.

**Repeating.** A `POST` that creates or starts something takes an `Idempotency-Key`: the same key with the same
request gives the first answer again, for 24 hours. Over a limit, `Retry-After` says when to come again."""

SETTINGS: Mapping[str, Any] = {
    "API_TITLE": "Fairway",
    "API_VERSION": "v1",
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": DOCUMENT_PATH.removeprefix("/"),
    "API_SPEC_OPTIONS": {
        "info": {"description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    },
}


class Problem(Shape):
    """A problem document (RFC 9457)."""

    type = ma.fields.String(metadata={"description": "stable; the address of a page about it"})
    title = ma.fields.String()
    status = ma.fields.Integer()
    detail = ma.fields.String()
    instance = ma.fields.String(metadata={"description": "the path that was asked for"})
    request_id = ma.fields.String()
    errors = ma.fields.List(
        ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String()),
        metadata={"description": "for 422: each fault with its pointer, parameter or header", "sometimes": True},
    )


def document(app: Flask) -> Api:
    """Make the document of *app* and serve it; the families register with what this returns."""
    app.config.update(SETTINGS)
    api = Api(app)
    api.ERROR_SCHEMA = Problem
    paths.register(app, api)
    api.spec.components.schema("Problem", schema=Problem)
    return api


def complete(api: Api, app: Flask) -> None:
    """Add to each operation what all have: an id, problems, headers, and the sign-in to those that need one."""
    found = list(_operations(api, app))
    for one in found:
        described = one.described
        described["operationId"] = one.view.__name__
        described["tags"] = [one.tag]
        _leave_out_foreign_problems(described["responses"])
        if one.is_guarded:
            described["security"] = [{"bearer": []}]
        for code in _common_problems(one):
            described["responses"].setdefault(STATUSES[code], problem(code))
        common_parts.add(described, one.method, is_limited=limits.is_counted(one.path))
    spec = api.spec
    for path in spec._paths.values():  # noqa: SLF001 (apispec offers no way to walk them)
        common_parts.bound_path(path.get("parameters", ()))
    spec._tags[:] = [{"name": tag} for tag in sorted({one.tag for one in found}, key=_rank)]  # noqa: SLF001 (as above)
    for unused in ("Error", "PaginationMetadata"):
        spec.components.schemas.pop(unused, None)
    spec.components.responses.clear()


def errors(*codes: str) -> dict[str, Any]:
    """Return the responses for an operation's own problems, for `blueprint.doc(responses=…)`."""
    return {STATUSES[code]: problem(code) for code in codes}


def problem(code: str) -> dict[str, Any]:
    """Return the response that is this problem, with an example."""
    example = {
        "type": f"/problems/{code}",
        "title": TITLES[code],
        "status": int(STATUSES[code]),
        "detail": "What is wrong here, and what to do about it.",
        "instance": "/v1/…",
        "request_id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    }
    if code == "invalid":
        example["errors"] = [{"detail": "Unknown field.", "pointer": "/colour"}]
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": TITLES[code], "content": content}


class _Operation(NamedTuple):
    """An operation of the document with the view that does it."""

    path: str
    method: str
    described: dict[str, Any]
    view: Any
    tag: str

    @property
    def is_guarded(self) -> bool:
        """Tell whether it needs a sign-in."""
        return getattr(self.view, "is_guarded", False)


def _operations(api: Api, app: Flask) -> Iterator[_Operation]:
    paths = api.spec._paths  # noqa: SLF001 (as above)
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method, described in paths.get(path, {}).items():
            if method.upper() in (rule.methods or ()):
                family: Any = app.blueprints[rule.endpoint.rsplit(".", 1)[0]]
                yield _Operation(path, method, described, app.view_functions[rule.endpoint], family.tag)


def _rank(tag: str) -> tuple[bool, bool, str]:
    """Sort what tenants do before what operators do, and what everybody may look at last."""
    return tag == "Platform", tag.startswith("Operators"), tag


def _leave_out_foreign_problems(responses: dict[str, Any]) -> None:
    """Leave out flask-smorest's own errors; ours stand in their place."""
    for status in [status for status, one in responses.items() if status == "default" or "$ref" in one]:
        del responses[status]


def _common_problems(one: _Operation) -> Iterator[str]:
    yield from ("method-not-allowed", "not-acceptable", "invalid", "internal")
    if one.path != "/healthz" and not one.path.startswith("/problems"):
        yield "unavailable"
    if limits.is_counted(one.path):
        yield "too-many-requests"
    if one.is_guarded:
        yield from ("unauthenticated", "forbidden")
    if "{" in one.path:
        yield "not-found"
    if one.method in {"post", "patch", "put"} and "requestBody" in one.described:
        yield from ("not-parseable", "too-large", "wrong-media-type")
