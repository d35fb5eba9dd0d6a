"""The OpenAPI 3.1 document: what every operation has in common is added here, in one place."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Flask
from flask_smorest import Api

from web.contract.problems import MEDIA_TYPE, TITLES

SETTINGS: Mapping[str, Any] = {
    "API_TITLE": "Fairway",
    "API_VERSION": "v1",
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {
        "info": {
            "description": "Heavy work is accepted at once and answered with a job; see the job for its end."
        },
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    },
}

_COMMON_ERRORS = {
    "400": "not-parseable",
    "405": "method-not-allowed",
    "406": "not-acceptable",
    "422": "invalid",
    "500": "internal",
    "503": "unavailable",
}


class Problem(ma.Schema):
    """A problem document (RFC 9457)."""

    type = ma.fields.String(required=True, metadata={"example": "/problems/not-found"})
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    instance = ma.fields.String(required=True)
    request_id = ma.fields.String(required=True)
    errors = ma.fields.List(
        ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String()),
        metadata={"description": "for 422: each fault with its pointer, parameter or header"},
    )


def document(app: Flask) -> Api:
    """Make the document of *app* and serve it; the families register with what this returns."""
    app.config.update(SETTINGS)
    api = Api(app)
    api.ERROR_SCHEMA = Problem
    api.spec.components.schema("Problem", schema=Problem)
    return api


def complete(api: Api, *, guarded: frozenset[str]) -> None:
    """Add to each operation the problems it can give, and the sign-in to those that are *guarded*."""
    for path, operations in api.spec._paths.items():  # noqa: SLF001 (apispec offers no way to walk them)
        for method, operation in operations.items():
            if method == "parameters":
                continue
            _complete(operation, method, guarded=operation.get("operationId", "") in guarded, has_id="{" in path)


def errors(*codes: str) -> dict[str, Any]:
    """Return the responses for an operation's own problems, for `blueprint.doc(responses=…)`."""
    return {status: _problem(code) for status, code in (_STATUS_OF[code] for code in codes)}


_STATUS_OF = {
    code: (status, code)
    for status, code in {
        "401": "unauthenticated",
        "403": "forbidden",
        "404": "not-found",
        "409": "conflict",
        "413": "too-large",
        "415": "wrong-media-type",
        "429": "too-many-requests",
    }.items()
}


def _complete(operation: dict[str, Any], method: str, *, guarded: bool, has_id: bool) -> None:
    responses = operation.setdefault("responses", {})
    responses.pop("default", None)
    common = dict(_COMMON_ERRORS)
    if guarded:
        operation["security"] = [{"bearer": []}]
        common |= {"401": "unauthenticated", "403": "forbidden"}
    if has_id:
        common["404"] = "not-found"
    if method in {"post", "put", "patch"} and "requestBody" in operation:
        common |= {"413": "too-large", "415": "wrong-media-type"}
    for status, code in common.items():
        if status not in responses or "$ref" in responses[status]:
            responses[status] = _problem(code)


def _problem(code: str) -> dict[str, Any]:
    example = {"type": f"/problems/{code}", "title": TITLES[code], "detail": "What to do about it."}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": TITLES[code], "content": content}
