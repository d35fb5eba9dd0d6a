"""What each field of a ticket may be; a rule returns the value as it is stored or raises `Unfit`."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from common.tickets.ticket import STATUSES

MESSAGE_MAX_CHARS = 65_536
SUBJECT_MAX_CHARS = 1_000
NAME_MAX_CHARS = 255
TAGS_MAX = 50
TAG_MAX_CHARS = 100
ATTRIBUTE_MAX_CHARS = 8_192
YEARS = (1970, 2200)
_INT64 = 2**63
_TAG_SIGNS = re.compile(r"[,;]")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?\Z"
)


class Unfit(ValueError):
    """A value can't be what its field needs; the message ends a sentence that begins with the field."""


def message(value: Any) -> str:
    """Take any text but a blank one, as it is."""
    if not isinstance(value, str):
        raise Unfit("must be text")
    if not value or value.isspace():
        raise Unfit("must not be empty")
    if len(value) > MESSAGE_MAX_CHARS:
        raise Unfit(f"must have at most {MESSAGE_MAX_CHARS} characters")
    return value


def short_text(max_chars: int) -> Callable[[Any], str | None]:
    """Make the rule of an optional text; a whole number becomes its digits."""

    def rule(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise Unfit("must be text")
        if len(value) > max_chars:
            raise Unfit(f"must have at most {max_chars} characters")
        return value

    return rule


def status(value: Any) -> str:
    """Take one of the four, in any case."""
    name = value.strip().lower() if isinstance(value, str) else None
    if name not in STATUSES:
        raise Unfit(f"must be one of {', '.join(STATUSES)}")
    return name


def tags(value: Any) -> list[str]:
    """Take a list of texts, or one text with commas or semicolons between; repeated ones once, in their order."""
    if value is None:
        return []
    if isinstance(value, str):
        value = [part.strip() for part in _TAG_SIGNS.split(value)]
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise Unfit("must be a list of texts")
    found = list(dict.fromkeys(tag for tag in value if tag))
    if len(found) > TAGS_MAX:
        raise Unfit(f"must have at most {TAGS_MAX} tags")
    if any(len(tag) > TAG_MAX_CHARS for tag in found):
        raise Unfit(f"must have tags of at most {TAG_MAX_CHARS} characters")
    return found


def created_at(value: Any) -> datetime:
    """Take an RFC 3339 instant or an ISO date; without an offset it is UTC. Kept to the millisecond."""
    if not isinstance(value, str) or not _INSTANT.match(value):
        raise Unfit("must be a date and time like 2026-01-31T09:30:00Z")
    try:
        instant = datetime.fromisoformat(value.upper())
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unfit("is no date of the calendar") from error
    if not YEARS[0] <= instant.year <= YEARS[1]:
        raise Unfit(f"must be in the years {YEARS[0]} to {YEARS[1]}")
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def attribute(value: Any) -> Any:
    """Take a text, a number that can be kept exactly, true, false or null."""
    if isinstance(value, str):
        if len(value) > ATTRIBUTE_MAX_CHARS:
            raise Unfit(f"must have at most {ATTRIBUTE_MAX_CHARS} characters")
    elif isinstance(value, int | float):
        if not -_INT64 <= value < _INT64 or not math.isfinite(value):
            raise Unfit("is too large a number to be kept exactly; give it as text")
    elif value is not None:
        raise Unfit("must be a single value, not a list or an object")
    return value


RULES: Mapping[str, Callable[[Any], Any]] = {
    "external_id": short_text(NAME_MAX_CHARS),
    "customer_id": short_text(NAME_MAX_CHARS),
    "channel": short_text(NAME_MAX_CHARS),
    "subject": short_text(SUBJECT_MAX_CHARS),
    "message": message,
    "status": status,
    "tags": tags,
    "created_at": created_at,
}
OMITTED_WHEN_EMPTY = frozenset({"external_id", "status", "created_at"})
"""Fields that an empty cell says nothing about, rather than that they are empty."""
