"""How long a host asks us to wait: by Retry-After, or by when its limit resets."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WAIT_MAX_S = 3600.0
"""More is not believed: whoever asks for it is asked again after this."""

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?\Z")
_DATE_MAX_CHARS = 64
_FIRST_INSTANT_S = 1_000_000_000.0
_FIRST_INSTANT_MS = 100_000_000_000.0
_RESETS = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset")


def seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return what `Retry-After` asks for: 0 to 3600, or `None` if it is not there or can't be read (RFC 9110).

    A date is held against the answer's own `Date` where it has one, so that no clock has to be right.
    """
    asked = headers.get("retry-after", "").strip()
    number = _number(asked)
    if number is not None:
        return _capped(number)
    until = _http_date(asked)
    return (
        None if until is None else _capped((until - (_http_date(headers.get("date", "")) or now)).total_seconds())
    )


def until_reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds, 0 to 3600, until a limit is said to be whole again; `None` if nothing says so.

    A number too small for an instant since 1970 is taken as the seconds themselves.
    """
    number = next((found for name in _RESETS if (found := _number(headers.get(name, ""))) is not None), None)
    if number is None or number < _FIRST_INSTANT_S:
        return None if number is None else _capped(number)
    instant_s = number / 1000 if number >= _FIRST_INSTANT_MS else number
    return _capped(instant_s - (_http_date(headers.get("date", "")) or now).timestamp())


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.match(text.strip()) else None


def _http_date(text: str) -> datetime | None:
    if not text or len(text) > _DATE_MAX_CHARS:
        return None
    try:
        instant = parsedate_to_datetime(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _capped(wait_s: float) -> float:
    return min(max(0.0, wait_s), WAIT_MAX_S)
