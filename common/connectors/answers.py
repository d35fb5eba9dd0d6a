"""What an answer's status means, and the JSON in its body, however a source has garbled it."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson

from common.connectors import retry_after
from common.connectors.connector import Record
from common.errors import (
    AnswerRefused,
    CredentialsRefused,
    SourceAsksToWait,
    SourceGone,
    SourceIll,
    SourceRefused,
)

WAIT_MIN_S = 1.0
WAIT_UNTOLD_S = 60.0
"""How long to wait where a source says only that it was too much."""

RECORDS_MAX = 10_000
VALUES_MAX = 1_000_000
"""A value takes up to a hundred times as much memory as it does in the answer."""

GARBLED_MAX_BYTES = 4 * 1024**2
GARBLED_VALUES_MAX = 250_000
"""JSON that has to be read gently takes several times as long and as much memory as other."""

_INT64_END = 2**63
_WITHOUT_LEAVE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_ABSENT = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_LATE = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY)


def demand_page(status: int, headers: Mapping[str, str], now: datetime) -> None:
    """Raise what *status* means, unless it is the 200 of a page."""
    if status == HTTPStatus.OK:
        return
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise asks_to_wait(headers, now)
    if status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after.seconds(headers, now) is not None:
        raise asks_to_wait(headers, now)
    if status in _WITHOUT_LEAVE:
        raise CredentialsRefused(f"The source does not take the credentials, or not for this (status {status}).")
    if status in _ABSENT:
        raise SourceGone(f"The source has nothing under its address (status {status}).")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _LATE:
        raise SourceRefused(f"The source refuses what it is asked (status {status}).")
    raise SourceIll(f"The source answered with status {status} instead of a page.")


def asks_to_wait(headers: Mapping[str, str], now: datetime) -> SourceAsksToWait:
    """Return the error that says how long: as `Retry-After` has it, until the limit resets, or a minute."""
    told_s = retry_after.seconds(headers, now)
    if told_s is None:
        told_s = retry_after.until_reset(headers, now)
    wait_s = max(WAIT_MIN_S, WAIT_UNTOLD_S if told_s is None else told_s)
    return SourceAsksToWait(f"The source asks us to wait {wait_s:g} s.", retry_after_s=wait_s)


def read_json(headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of *body*. Raises `SourceIll` if there is none, `AnswerRefused` of too many values."""
    _demand_at_most(VALUES_MAX, body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    if len(body) > GARBLED_MAX_BYTES:
        raise SourceIll(f"The source answered with {_form(headers)}, too large to be read all the same.")
    _demand_at_most(GARBLED_VALUES_MAX, body)
    try:
        return _read_garbled(body)
    except (ValueError, RecursionError) as error:
        raise SourceIll(f"The source answered with {_form(headers)} instead of a page.") from error


def records(found: Any, where: str) -> Sequence[Record]:
    """Return the records of a page, which an answer has *where*. Raises `SourceIll` if there is no list.

    An entry that is no object becomes one without fields, which can't become a ticket, and takes no other along.
    Raises `AnswerRefused` of more than `RECORDS_MAX`.
    """
    if not isinstance(found, list):
        raise SourceIll(f"The source's answer has no list of records at {where}.")
    if len(found) > RECORDS_MAX:
        raise AnswerRefused(
            f"The source's answer has {len(found):,} records at {where}; a page may have {RECORDS_MAX:,}."
        )
    if {*map(type, found)} <= {dict}:
        return found
    return [entry if isinstance(entry, dict) else {} for entry in found]


def total(found: Any) -> int | None:
    """Return how many records a source says it has, if *found* is a whole number that can be stored."""
    return found if type(found) is int and 0 <= found < _INT64_END else None


def _demand_at_most(values: int, body: bytes) -> None:
    """Refuse *body* before anything is made of it, if it may hold more than that many *values*.

    Each value in a list or an object, but the first, has a comma before it, and each list or object its opening
    sign. Those in texts are counted, too, to stay cheap.
    """
    if len(body) <= values:
        return
    if body.count(b",") + body.count(b"{") + body.count(b"[") > values:
        raise AnswerRefused(f"The source's answer has more than {values:,} values; ask it for smaller pages.")


def _form(headers: Mapping[str, str]) -> str:
    return "HTML" if "html" in headers.get("content-type", "").lower() else "something that is no JSON"


def _read_garbled(body: bytes) -> Any:
    """Read JSON with a byte order mark, in UTF-16, with halves of surrogate pairs, NaN or endless numbers.

    One such value would otherwise cost its whole page. Half a pair becomes U+FFFD, NaN null, a number without end
    its digits.
    """
    value = json.loads(body, parse_constant=lambda _: None, parse_float=_finite_or_text)
    text = json.dumps(value, ensure_ascii=False)
    return orjson.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _finite_or_text(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
