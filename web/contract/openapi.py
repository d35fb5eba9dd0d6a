"""The OpenAPI 3.1 document: what every operation has in common is added here, in one place."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import marshmallow as ma
from flask import Flask
from flask_smorest import Api

from web.contract import common_parts, limits
from web.contract.json_bodies import BODY_MAX_BYTES, DEPTH_MAX, ITEMS_MAX
from web.contract.problems import MEDIA_TYPE, STATUSES, TITLES
from web.contract.shapes import Shape

DOCUMENT_PATH = "/openapi.json"
_DESCRIPTION = f"""Heavy work is accepted at once and answered with a job; look at the job for its end.

A JSON body has at most {BODY_MAX_BYTES} bytes, is nested at most {DEPTH_MAX} deep and holds at most {ITEMS_MAX}
values. Fields and parameters that an operation does not know are refused by name. Times are RFC 3339 in UTC. Every
answer carries `X-Request-ID`; errors are problem documents (RFC 9457)."""

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
    api.spec.components.schema("Problem", schema=Problem)
    return api


def complete(api: Api, app: Flask) -> None:
    """Add to each operation what all have: an id, problems, headers, and the sign-in to those that need one."""
    for path, method, operation, view in _operations(api, app):
        is_guarded = getattr(view, "is_guarded", False)
        operation["operationId"] = view.__name__
        # flask-smorest's own errors; ours stand in their place.
        foreign = [
            status for status, one in operation["responses"].items() if status == "default" or "$ref" in one
        ]
        for status in foreign:
            del operation["responses"][status]
        if is_guarded:
            operation["security"] = [{"bearer": []}]
        for code in _common_problems(path, method, operation, is_guarded=is_guarded):
            operation["responses"].setdefault(STATUSES[code], problem(code))
        common_parts.add(operation, method, is_limited=limits.is_counted(path))
    for described in api.spec._paths.values():  # noqa: SLF001 (as below)
        common_parts.bound_path(described.get("parameters", ()))
    for unused in ("Error", "PaginationMetadata"):
        api.spec.components.schemas.pop(unused, None)
    api.spec.components.responses.clear()


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


def _operations(api: Api, app: Flask) -> Iterator[tuple[str, str, dict[str, Any], Any]]:
    paths = api.spec._paths  # noqa: SLF001 (apispec offers no way to walk them)
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method, operation in paths.get(path, {}).items():
            if method.upper() in (rule.methods or ()):
                yield path, method, operation, app.view_functions[rule.endpoint]


def _common_problems(path: str, method: str, operation: Mapping[str, Any], *, is_guarded: bool) -> Iterator[str]:
    yield from ("method-not-allowed", "not-acceptable", "invalid", "internal")
    if path != "/healthz" and not path.startswith("/problems/"):
        yield "unavailable"
    if limits.is_counted(path):
        yield "too-many-requests"
    if is_guarded:
        yield from ("unauthenticated", "forbidden")
    if "{" in path:
        yield "not-found"
    if method == "post" and "requestBody" in operation:
        yield from ("not-parseable", "too-large", "wrong-media-type")
