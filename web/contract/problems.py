"""Problem documents (RFC 9457): every error leaves as one, with a type that the API serves as a page."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from traceback import format_exception
from typing import Any

import orjson
from flask import Flask, Response, g, request
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException

from common import errors
from common.errors import Fault, Invalid, Refused, TooMany, Unavailable
from common.jobs.idempotency import AlreadyAnswered
from common.logs import get_logger

MEDIA_TYPE = "application/problem+json"
log = get_logger()

TITLES: Mapping[str, str] = {
    "not-parseable": errors.NotParseable.title,
    "unauthenticated": errors.Unauthenticated.title,
    "forbidden": errors.Forbidden.title,
    "not-found": errors.NotFound.title,
    "method-not-allowed": "This method is not offered here",
    "not-acceptable": errors.NotAcceptable.title,
    "conflict": errors.Conflict.title,
    "too-large": errors.TooLarge.title,
    "wrong-media-type": errors.WrongMediaType.title,
    "range-not-satisfiable": "There is no such range",
    "invalid": errors.Invalid.title,
    "precondition-failed": errors.Stale.title,
    "precondition-required": errors.PreconditionRequired.title,
    "idempotency-key-reused": "The Idempotency-Key was used for another request",
    "too-many-requests": errors.TooMany.title,
    "internal": "Something went wrong on our side",
    "unavailable": errors.Unavailable.title,
}
"""Every type of problem that an answer may carry, with its title."""

STATUSES: Mapping[str, str] = {
    "not-parseable": "400",
    "unauthenticated": "401",
    "forbidden": "403",
    "not-found": "404",
    "method-not-allowed": "405",
    "not-acceptable": "406",
    "conflict": "409",
    "precondition-failed": "412",
    "too-large": "413",
    "wrong-media-type": "415",
    "range-not-satisfiable": "416",
    "invalid": "422",
    "precondition-required": "428",
    "too-many-requests": "429",
    "internal": "500",
    "unavailable": "503",
}
"""The status that each type of problem comes with; `idempotency-key-reused` is an `invalid` by another name."""

_OF_STATUS = {int(status): code for code, status in STATUSES.items()}
_DETAILS = {
    404: "There is nothing at this address.",
    405: "Use one of the methods in the Allow header.",
    413: "The body is larger than this operation takes.",
    416: "The Range lies beyond the end, or is none. Ask without it for the whole, and for its length with HEAD.",
}


def answer(
    status: int, code: str, detail: str, *, extra: Mapping[str, Any] | None = None, title: str | None = None
) -> Response:
    """Return the problem as a response."""
    body = {
        "type": f"/problems/{code}",
        "title": title or TITLES.get(code, code),
        "status": status,
        "detail": detail,
        "instance": _plain(request.path),
        "request_id": g.get("request_id"),
        **(extra or {}),
    }
    return Response(orjson.dumps(body), status=status, content_type=MEDIA_TYPE)


def register(app: Flask) -> None:
    """Make every error of *app* leave as a problem."""
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(PyMongoError, _without_mongo)
    app.register_error_handler(AlreadyAnswered, _replayed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: Refused) -> Response:
    extra = dict(error.extra)
    if isinstance(error, Invalid):
        extra["errors"] = [_fault(fault) for fault in error.faults]
    response = answer(error.status, error.code, error.detail, extra=extra, title=error.title)
    if isinstance(error, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _fault(fault: Fault) -> dict[str, str]:
    return {"detail": fault.detail, fault.kind: fault.where}


def _unavailable(error: Unavailable) -> Response:
    response = answer(error.status, error.code, error.detail)
    response.headers["Retry-After"] = str(error.retry_after_s)
    return response


_WITHOUT_MONGO = (
    "The database does not answer. What this request was to change may or may not be done: "
    "repeat it with the same Idempotency-Key, which is safe, or look first."
)


def _without_mongo(error: PyMongoError) -> Response:
    # A refusal names itself by its code; its sentence may hold a caller's values.
    log.warning("mongo.unavailable", error=type(error).__name__, code=getattr(error, "code", None))
    return _unavailable(Unavailable(_WITHOUT_MONGO))


def _replayed(replay: AlreadyAnswered) -> Response:
    first = replay.answer
    response = Response(orjson.dumps(first.body), status=first.status, content_type="application/json")
    response.headers.update(first.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code = _OF_STATUS.get(status, "not-parseable" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal")
    detail = _DETAILS.get(status, error.description or "The request was refused.")
    response = answer(status, code, detail)
    for name, value in error.get_headers(request.environ):
        if name in {"Allow", "Content-Range", "Retry-After", "WWW-Authenticate"}:
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    log.error("request.failed", error=type(error).__name__, trace="".join(format_exception(error))[-8000:])
    return answer(500, "internal", "We have logged this under the request_id; please report it with that.")


def _plain(path: str) -> str:
    """Return *path* as it may be echoed: printable, and not without end."""
    return re.sub(r"[^\x21-\x7e]", "?", path)[:500]
