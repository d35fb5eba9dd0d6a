"""Stored bytes as an answer: always as an attachment, whole or in parts, with nothing in them that runs."""

from datetime import datetime
from typing import Any

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

from common.errors import Fault, Invalid
from common.storage.disposition import content_disposition
from web.contract.services import services

_HEADER_MAX_CHARS = 1_000
BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
RANGES: list[dict[str, Any]] = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": _HEADER_MAX_CHARS},
        "description": description,
    }
    for name, description in (
        ("Range", "a part of the bytes, as `bytes=1000-`"),
        ("If-Range", "the ETag of what one has a part of; for another content all of it comes"),
    )
]
"""The headers of a part, as the document shows them."""


def streamed(
    blob_id: str, filename: str, *, size_bytes: int, sha256: str, media_type: str, created_at: datetime
) -> Response:
    """Answer with a stored content, or the part that is asked for.

    Raises `NotFound`, `StorageUnavailable`, `RequestedRangeNotSatisfiable`, and `Invalid` for an If-Range
    that is too long.
    """
    _refuse_long_headers(size_bytes)
    content = services().blobs.open(blob_id)
    response = Response(wrap_file(request.environ, content), mimetype=media_type, direct_passthrough=True)
    response.call_on_close(content.close)
    response.content_length = size_bytes
    response.headers["Content-Disposition"] = content_disposition(filename)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.last_modified = created_at
    response.set_etag(sha256)
    response.make_conditional(request, accept_ranges=True, complete_length=size_bytes)
    return response


def _refuse_long_headers(size_bytes: int) -> None:
    """Raise for headers longer than the document says, whether the other would make them matter or not."""
    if len(request.headers.get("If-Range", "")) > _HEADER_MAX_CHARS:
        why = f"must have at most {_HEADER_MAX_CHARS:,} characters"
        raise Invalid("A header is not valid; see errors.", [Fault(why, "If-Range", "header")])
    if len(request.headers.get("Range", "")) > _HEADER_MAX_CHARS:
        raise RequestedRangeNotSatisfiable(length=size_bytes)
