"""Answers: JSON by orjson, strong ETags, and the headers that every answer carries."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response, request

from common.config import Settings

_GUARDS = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_IN_PRODUCTION = {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}


def register(app: Flask, settings: Settings) -> None:
    """Give every answer of *app* the headers that keep it private and inert."""
    guards = _GUARDS | (_IN_PRODUCTION if settings.env == "production" else {})

    def guard(response: Response) -> Response:
        for name, value in guards.items():
            response.headers.setdefault(name, value)
        return response

    app.after_request(guard)


def one(
    body: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    version: str | None = None,
) -> Response:
    """Answer with a single resource and its strong ETag; 304 if the caller has it.

    *version* is the ETag of what may be changed, where the answer shows more than that.
    """
    encoded = orjson.dumps(body)
    response = Response(encoded, status=status, content_type="application/json")
    response.headers.update(headers or {})
    if request.method in {"GET", "HEAD"} and status == HTTPStatus.OK:
        response.set_etag(version or hashlib.sha256(encoded).hexdigest()[:32])
        response.make_conditional(request)
    elif version is not None:
        response.set_etag(version)
    return response
