"""Instants as parameters: RFC 3339 with an offset, in years that every part of the platform can reckon with."""

from datetime import UTC, datetime
from typing import Any

import marshmallow as ma

YEARS = (1970, 2200)
_SAID = "Must be an instant with its offset from UTC, as 2026-01-31T09:30:00Z."


class Instant(ma.fields.AwareDateTime):
    """An instant, read to UTC; one beyond the calendar's ends would overflow there."""

    default_error_messages = {  # noqa: RUF012 (marshmallow's own attribute)
        "invalid": _SAID,
        "invalid_awareness": _SAID,
        "year": f"Must be in the years {YEARS[0]} to {YEARS[1]}.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        found = super()._deserialize(value, attr, data, **kwargs)
        if not YEARS[0] <= found.year <= YEARS[1]:
            raise self.make_error("year")
        return found.astimezone(UTC)
