"""What the document says of every operation alike: the headers that requests may and answers do carry."""

from collections.abc import Sequence
from typing import Any

_TEXT = {"type": "string"}
_SECONDS = {"schema": {"type": "integer", "minimum": 0}, "description": "seconds"}
_TRACEPARENT = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "W3C trace context: the trace goes on in the job that is started; ignored if malformed",
}
_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "taken if it is `^[A-Za-z0-9._:-]{1,128}$`, made if not; echoed, logged, stored with the job",
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "the ETag that the caller has; 304 if it still holds",
}
_ECHO = {"X-Request-ID": {"schema": _TEXT}}
_LIMITS = {
    "RateLimit-Policy": {"schema": _TEXT, "description": 'each quota: `"minute";q=100;w=60` is 100 in 60 s'},
    "RateLimit": {"schema": _TEXT, "description": 'how each stands: `"minute";r=99;t=60` is 99 left, all in 60 s'},
}
_OF_STATUS: dict[str, dict[str, Any]] = {
    "200": {},
    "202": {"Location": {"schema": _TEXT, "description": "the job"}, "Retry-After": _SECONDS},
    "401": {"WWW-Authenticate": {"schema": {"const": "Bearer"}}},
    "405": {"Allow": {"schema": _TEXT}},
    "429": {"Retry-After": _SECONDS},
    "503": {"Retry-After": _SECONDS},
}
_ETAG = {"ETag": {"schema": _TEXT, "description": "strong"}}
_LINK = {"Link": {"schema": _TEXT, "description": 'the next page, rel="next"; absent on the last'}}
_REPLAYED = {"Idempotency-Replayed": {"schema": {"const": "true"}, "description": "the first answer again"}}


def bound_path(parameters: Sequence[dict[str, Any]]) -> None:
    """Say how the parts of a path look; what looks otherwise is 404."""
    for one in parameters:
        if "format" not in one["schema"]:
            one["schema"]["maxLength"] = 1_000


def add(operation: dict[str, Any], method: str, *, is_limited: bool) -> None:
    """Add these headers to *operation*, and 304 to what is single."""
    parameters = operation.setdefault("parameters", [])
    names = {one.get("name") for one in parameters}
    answers = operation["responses"]
    is_list = "cursor" in names
    is_single = method == "get" and not is_list and "application/json" in answers.get("200", {}).get("content", {})
    parameters += [_REQUEST_ID, _TRACEPARENT]
    if is_single:
        parameters.append(_IF_NONE_MATCH)
        answers["304"] = {"description": "The caller has it already", "headers": _ETAG | _ECHO}
    for status, answer in answers.items():
        headers = _ECHO | (_LIMITS if is_limited else {}) | _OF_STATUS.get(status, {}) | answer.get("headers", {})
        if status == "200":
            headers |= (_ETAG if is_single else {}) | (_LINK if is_list else {})
        if status == "202" and "Idempotency-Key" in names:
            headers |= _REPLAYED
        answer["headers"] = headers
