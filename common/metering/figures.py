"""What is metered, and the field under which a sum of it travels."""

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, get_args

from common.ids import OrgId

Figure = Literal["requests", "refused", "jobs", "ended", "failed", "run_us", "rows"]
"""*requests* that came with credentials that hold, *refused* those of them that were answered 429; *jobs* that
were accepted, *ended* those that ran to their end, *failed* those of these that failed; *run_us*, the microseconds
that handlers ran; *rows* of tickets that were written."""

FIGURES: tuple[Figure, ...] = get_args(Figure)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOST = 2**53


class Metered(NamedTuple):
    """Of whom, in which hour since 1970, and what."""

    org_id: OrgId
    hour: int
    figure: Figure

    def field(self) -> str:
        """Return its name in Redis."""
        return f"{self.org_id} {self.hour} {self.figure}"

    @classmethod
    def parse(cls, field: str) -> "Metered":
        """Read what `field` wrote. Raises `ValueError`."""
        org_id, hour, figure = field.rsplit(" ", 2)
        for known in FIGURES:
            if figure == known and 0 <= int(hour) < _HOURS_MAX:
                return cls(OrgId(org_id), int(hour), known)
        raise ValueError(f"{field!r} is nothing that is metered.")

    @property
    def day(self) -> datetime:
        """Return the beginning of its day, in UTC."""
        return EPOCH + self.hour // 24 * DAY


def day_of(instant: datetime) -> datetime:
    """Return the beginning of the day of *instant*, in UTC."""
    return EPOCH + (instant - EPOCH) // DAY * DAY


def hour_of(instant: datetime) -> int:
    """Return the hour of *instant*, since 1970."""
    return int(instant.timestamp()) // 3600


_HOURS_MAX = 10**7
