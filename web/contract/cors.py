"""Cross-origin requests: from the origins that the settings name, and from nobody else; never with cookies."""

from flask import Flask, Response
from flask_cors import CORS

from common.config import Settings

_SENT = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID"]
_SHOWN = ["ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"]
_TRACED = ["X-Request-ID", "traceparent"]
PREFLIGHT_S = 600


def register(app: Flask, settings: Settings) -> None:
    """Let pages of the named origins ask *app*; without any, a browser keeps other pages away."""
    if settings.cors_origins:
        CORS(
            app,
            origins=list(settings.cors_origins),
            methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[*_SENT, *_TRACED],
            expose_headers=[*_SHOWN, _TRACED[0]],
            supports_credentials=False,
            max_age=PREFLIGHT_S,
        )
        app.after_request(_vary)


def _vary(response: Response) -> Response:
    """Say that the answer depends on who asks, also where the library sees one origin only and leaves it out."""
    response.vary.add("Origin")
    return response
