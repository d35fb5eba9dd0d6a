"""Paging: `limit` and an opaque `cursor`, bound to the organization and to what was asked."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import marshmallow as ma
import orjson
from flask import Response, request

from common.caller import Caller
from common.errors import Fault, Invalid
from common.ids import is_id

T = TypeVar("T")
LIMIT_MAX = 200
LIMIT_DEFAULT = 50
CURSOR_MAX_CHARS = 1_000
OFFSET_MAX = 10_000_000


class PageQuery(ma.Schema):
    """The parameters of every list."""

    limit = ma.fields.Integer(
        load_default=LIMIT_DEFAULT,
        strict=False,
        validate=ma.validate.Range(1, LIMIT_MAX),
        metadata={"example": 50},
    )
    cursor = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, CURSOR_MAX_CHARS),
        metadata={"description": "`next_cursor` of the page before"},
    )


def position(caller: Caller, query: Mapping[str, Any], read: Callable[[Any], T]) -> T | None:
    """Return where the page begins, or `None` for the first.

    *read* makes the place of what a cursor holds, which anybody may have written: it raises `ValueError`,
    `TypeError`, `LookupError` or `OverflowError` for what is none. Raises `Invalid` for a cursor of another list.
    """
    cursor = query["cursor"]
    if cursor is None:
        return None
    try:
        mark, place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if mark != _mark(caller, query):
            raise _foreign()
        return read(place)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise _foreign() from error


def read_id(value: Any) -> str:
    """Read the id at which a page begins. Raises `ValueError`."""
    if not isinstance(value, str) or not is_id(value):
        raise ValueError("no id")
    return value


def page(
    caller: Caller,
    query: Mapping[str, Any],
    found: Sequence[T],
    *,
    dump: Callable[[T], Mapping[str, Any]],
    place: Callable[[T], Any],
    is_cut: bool = False,
) -> Response:
    """Answer with *found*, for which one more than `limit` was asked; link the next page if there is one.

    *is_cut* tells that more follow, whose size keeps them out of this answer.
    """
    shown = found[: query["limit"]]
    has_more = bool(shown) and (is_cut or len(found) > len(shown))
    cursor = _cursor(_mark(caller, query), place(shown[-1])) if has_more else None
    body = {"items": [dump(one) for one in shown], "next_cursor": cursor}
    response = Response(orjson.dumps(body), content_type="application/json")
    if cursor is not None:
        parameters = {**request.args.to_dict(), "cursor": cursor}
        response.headers["Link"] = f'<{request.path}?{urlencode(parameters)}>; rel="next"'
    return response


def part(caller: Caller, query: Mapping[str, Any], everything: Sequence[Mapping[str, Any]]) -> Response:
    """Answer with a page of a list that is at hand as a whole, because the deployment bounds it."""
    begin = position(caller, query, read_offset) or 0
    found = everything[begin : begin + query["limit"] + 1]
    return page(caller, query, found, dump=dict, place=lambda _: begin + query["limit"])


def read_offset(value: Any) -> int:
    """Read how many things stand before a page. Raises `ValueError`."""
    if not isinstance(value, int) or not 0 < value <= OFFSET_MAX:
        raise ValueError("no offset")
    return value


def _cursor(mark: str, place: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([mark, place])).decode().rstrip("=")


def _mark(caller: Caller, query: Mapping[str, Any]) -> str:
    asked = sorted((key, str(value)) for key, value in query.items() if key not in {"cursor", "limit"})
    return hashlib.sha256(orjson.dumps([caller.org_id, request.path, asked])).hexdigest()[:16]


def _foreign() -> Invalid:
    return Invalid(
        "This cursor does not belong to this list. Start again without one.",
        [Fault("is not a cursor of this list", "cursor", "parameter")],
    )
