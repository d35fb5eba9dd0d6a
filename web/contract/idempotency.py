"""Idempotency-Key, for every POST that creates or starts something (draft-ietf-httpapi-idempotency-key-header)."""

import re
from collections.abc import Callable
from typing import Any

import orjson
from flask import request

from common.errors import Fault, Invalid
from common.jobs.idempotency import Answer, Once
from web.contract.services import services

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"\Z')


PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "1 to 255 visible ASCII characters; the same key and request give the first answer again",
}
"""The header as the document shows it."""


def key() -> str | None:
    """Return the key that this request brought, or `None`. Raises `Invalid` for one that is none."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    quoted = _QUOTED.match(given[0])
    found = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted and quoted[1] else given[0]
    if len(given) != 1 or not _KEY.match(found):
        raise Invalid(
            "An Idempotency-Key has 1 to 255 visible ASCII characters.",
            [Fault("must be 1 to 255 visible ASCII characters", HEADER, "header")],
        )
    return found


def once(
    operation: str,
    *,
    scope: str,
    request_parts: Any,
    answer: Callable[[Any], Answer],
    shows_secret: bool = False,
) -> Once | None:
    """Return this request's use of a key, or `None` if it brought none.

    *request_parts* is all that makes two requests the same; it may hold a password, so its fingerprint is made
    under our own key, and a change of the first secret key makes requests of before look different.
    Raises `Invalid` for a key that is none.
    """
    used = key()
    if used is None:
        return None
    return Once(
        scope=scope,
        operation=operation,
        key=used,
        fingerprint=services().keys.fingerprint(orjson.dumps(request_parts, option=orjson.OPT_SORT_KEYS)),
        answer=answer,
        shows_secret=shows_secret,
    )
