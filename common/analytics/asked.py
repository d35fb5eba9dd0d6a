"""What statistics are asked for: a range of time, the zone whose days and hours are shown, maybe one source."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from common.clock import rfc3339
from common.errors import Fault, Invalid

DAYS_MAX = 3_660
HOURLY_DAYS_MAX = 400
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
"""From then on every zone is whole quarter hours away from UTC."""

LATEST = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """Which tickets: those created in [*start*, *end*), of one source or of all. `ask` makes and checks it."""

    start: datetime
    end: datetime
    tz: str = "UTC"
    source_id: str | None = None

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone in which days and hours are counted."""
        return ZoneInfo(self.tz)

    @property
    def has_hours(self) -> bool:
        """Tell whether the range is short enough to be shown by the hour."""
        return self.end - self.start <= timedelta(days=HOURLY_DAYS_MAX)


def ask(start: datetime, end: datetime, tz: str = "UTC", source_id: str | None = None) -> Asked:
    """Return what is asked for. Raises `Invalid`, which names each of `from`, `to` and `tz` that can't be."""
    faults = [
        Fault(f"must be between {rfc3339(EARLIEST)} and {rfc3339(LATEST)}", name, "parameter")
        for name, at in (("from", start), ("to", end))
        if not EARLIEST <= at <= LATEST
    ]
    if end <= start:
        faults.append(Fault("must be later than from", "to", "parameter"))
    elif end - start > timedelta(days=DAYS_MAX):
        faults.append(Fault(f"may be at most {DAYS_MAX} days after from; ask for parts", "to", "parameter"))
    if tz not in _zones():
        faults.append(Fault("must be a zone of the IANA database, as Europe/Berlin or UTC", "tz", "parameter"))
    if faults:
        raise Invalid("These statistics can't be made; see errors.", faults)
    return Asked(start, end, tz, source_id)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
