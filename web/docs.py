"""The contract as a page, with no network: Swagger UI from its package, our own frame, and nothing inline."""

import functools
import hashlib
import importlib.util
from pathlib import Path

from flask import Response, redirect, request

from common.errors import NotFound
from web.contract.json_bodies import Blueprint

blueprint = Blueprint("docs", __name__, tag="Platform")

_OWN = Path(__file__).parent / "pages"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".png": "image/png"}
_THEIRS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
_OURS = ("docs.js", "pages.css")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fairway: the HTTP contract</title>
<link rel="icon" type="image/png" href="/assets/favicon-32x32.png">
<link rel="stylesheet" href="/assets/swagger-ui.css">
<link rel="stylesheet" href="/assets/pages.css">
</head>
<body>
<div id="docs"></div>
<noscript><main><p>This page needs JavaScript. The contract itself is at
<a href="/openapi.json">/openapi.json</a>, and what can go wrong at <a href="/problems">/problems</a>.</p>
</main></noscript>
<script src="/assets/swagger-ui-bundle.js"></script>
<script src="/assets/docs.js"></script>
</body>
</html>
"""


@blueprint.route("/", methods=["GET"])
@blueprint.response(302, description="To the contract")
def front() -> Response:
    """Lead to the contract."""
    return redirect("/docs")  # type: ignore[return-value] # werkzeug's own, which Flask makes one of


@blueprint.route("/docs", methods=["GET"])
@blueprint.response(200, content_type="text/html", description="The contract as a page")
def docs_page() -> Response:
    """Show the contract as a page that works without a network."""
    answer = Response(_PAGE, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


@blueprint.route("/assets/<string:name>", methods=["GET"])
@blueprint.response(200, content_type="application/octet-stream", description="What the pages are made of")
def asset(name: str) -> Response:
    """Serve what the pages are made of."""
    content, mark = _read(name)
    answer = Response(content, content_type=_TYPES[Path(name).suffix])
    answer.headers["Cache-Control"] = "public, max-age=3600, stale-while-revalidate=60"
    answer.set_etag(mark)
    return answer.make_conditional(request)  # type: ignore[return-value] # itself


@functools.cache
def _read(name: str) -> tuple[bytes, str]:
    """Return an asset and its ETag. Raises `NotFound` for what is none."""
    if name in _OURS:
        content = (_OWN / name).read_bytes()
    elif name in _THEIRS:
        content = (_package() / "static" / name).read_bytes()
    else:
        raise NotFound("There is nothing at this address.")
    return content, hashlib.sha256(content).hexdigest()[:32]


def _package() -> Path:
    """Return the folder of Swagger UI's package, without running its code."""
    found = importlib.util.find_spec("swagger_ui")
    if found is None or found.origin is None:
        raise NotFound("Swagger UI is not installed here.")
    return Path(found.origin).parent
