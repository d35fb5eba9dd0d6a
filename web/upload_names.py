"""The name of a file that comes as a raw body: `Content-Disposition`, as RFC 6266 has it."""

import re
from contextlib import suppress
from typing import Any

from flask import request
from werkzeug.http import parse_options_header

from common.errors import Fault, Invalid

HEADER = "Content-Disposition"
MAX_CHARS = 4_000
"""Bounded before it is looked into: what looks takes time by the square of it."""
NAME_HEADER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": MAX_CHARS},
    "description": "needed with a raw body: `attachment; filename=\"may.csv\"`, or `filename*=UTF-8''…`",
    "example": 'attachment; filename="may.csv"',
}
"""The header as the document shows it."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rf'(?:{_WORD}|"(?:[^"\\\r\n]|\\[^\r\n])*")'
_EMPTY = re.compile(r"\bfilename\*\s*=\s*[\w-]*'[\w-]*'\s*(;|\Z)", re.IGNORECASE)
_WHOLE = re.compile(rf"\s*{_WORD}\s*(?:;\s*{_WORD}\s*=\s*{_VALUE}\s*)*;?\s*\Z")


def name_in_header() -> str:
    """Return the name that the request gives its body. Raises `Invalid` without one."""
    given = [_as_sent(one).strip() for one in request.headers.getlist(HEADER)]
    # The parser passes over what it does not understand.
    if len(given) == 1 and len(given[0]) <= MAX_CHARS and _WHOLE.match(given[0]) and not _EMPTY.search(given[0]):
        name = parse_options_header(given[0])[1].get("filename", "")
        if name and "\ufffd" not in name:
            return name
    raise Invalid(
        'Name the file: Content-Disposition: attachment; filename="may.csv".',
        [Fault("must name the file, once", HEADER, "header")],
    )


def _as_sent(value: str) -> str:
    """Return the header's text: WSGI gives bytes as Latin-1, and many send UTF-8."""
    with suppress(UnicodeError):
        return value.encode("latin-1").decode("utf-8")
    return value
