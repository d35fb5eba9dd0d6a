"""Totals of quarter hours made those of the hours and days of a zone. Pure.

From 1980 on all zones are whole quarter hours away from UTC: where the offset stays, each quarter hour lies in one
local hour. But some clocks changed at a minute past midnight, so that a change may cut through a quarter hour.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import accumulate
from operator import sub
from typing import Any
from zoneinfo import ZoneInfo

from common.analytics.zones import Stretch, stretches
from common.tickets.counting.cells import QUARTER

QUARTER_S = 900
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_EPOCH_DAY = _EPOCH.toordinal()
_HOUR_S, _DAY_S = 3_600, 86_400
DAYS_REMEMBERED = 2_000
"""The names of so many days' hours are kept by a process, some five megabytes."""

_HOURS = [f"T{hour:02}:00:00" for hour in range(24)]


def quarter_at(at: datetime) -> int:
    """Return the number of the quarter hour, counted from 1970, in which an instant lies."""
    return (at - _EPOCH) // QUARTER


def second_of(at: datetime) -> int:
    """Return the number of the second, counted from 1970, in which an instant lies."""
    return (at - _EPOCH) // _SECOND


def instant_of(quarter: int) -> datetime:
    """Return when a quarter hour begins."""
    return _EPOCH + quarter * QUARTER


@dataclass(frozen=True)
class Totals:
    """How many there are from *start* to before *end* (whole seconds from 1970 around the range asked for).

    *until* has how many come before the *first* quarter hour, before each after it, and all; *within* how many
    come before a second inside a quarter hour, counted from its start.
    """

    start: int
    end: int
    first: int
    until: list[int]
    within: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, start: datetime, end: datetime, counts: Sequence[int], within: Mapping[int, int]) -> "Totals":
        """Make them of the counts of the quarter hours that the range touches."""
        until = list(accumulate(counts, initial=0))
        return cls(second_of(start), -((_EPOCH - end) // _SECOND), quarter_at(start), until, within)

    def before(self, at: int) -> int:
        """Return how many come before *at*, which begins a quarter hour or is one of *within*."""
        if at <= self.start:
            return 0
        if at >= self.end:
            return self.until[-1]
        quarter, rest = divmod(at, QUARTER_S)
        return self.until[quarter - self.first] + (self.within.get(at, 0) if rest else 0)


def by_day(totals: Totals, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return each day of the zone that the range touches, with how many there are."""
    found: dict[int, int] = {}
    for stretch in stretches(zone, totals.start, totals.end):
        first, counts = _counts(totals, stretch, _DAY_S)
        for day, n in enumerate(counts, first):  # a clock that goes back may do so into the day before
            found[day] = found.get(day, 0) + n
    return [{"date": _date_of(day), "total": found[day]} for day in sorted(found)]


def by_hour(totals: Totals, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return each hour of the zone that the range touches; one that comes twice is two, one left out is none."""
    found: list[dict[str, Any]] = []
    for stretch in stretches(zone, totals.start, totals.end):
        first, counts = _counts(totals, stretch, _HOUR_S)
        labels = _labels(first, first + len(counts), stretch.offset)
        found += [{"from": label, "total": n} for label, n in zip(labels, counts, strict=True)]
    return found


def _counts(totals: Totals, stretch: Stretch, size_s: int) -> tuple[int, list[int]]:
    """Return the number, from 1970, of a stretch's first local hour or day, and how many there are in each."""
    first = (stretch.start + stretch.offset) // size_s
    last = -(-(stretch.end + stretch.offset) // size_s)
    step, begin = size_s // QUARTER_S, ((first + 1) * size_s - stretch.offset) // QUARTER_S - totals.first
    inner = totals.until[begin : begin + (last - first - 1) * step : step]
    until = [totals.before(stretch.start), *inner, totals.before(stretch.end)]
    return first, list(map(sub, until[1:], until))


def _labels(first: int, last: int, offset: int) -> Iterator[str]:
    sign = _sign_of(offset)
    for day in range(first // 24, -(-last // 24)):
        yield from _hours_of(day, sign)[max(first - day * 24, 0) : last - day * 24]


@lru_cache(maxsize=DAYS_REMEMBERED)
def _hours_of(day: int, sign: str) -> tuple[str, ...]:
    written = _date_of(day)
    return tuple(f"{written}{hour}{sign}" for hour in _HOURS)


def _sign_of(offset: int) -> str:
    return datetime(2000, 1, 1, tzinfo=timezone(timedelta(seconds=offset))).isoformat()[-len("+00:00") :]


def _date_of(day: int) -> str:
    return date.fromordinal(_EPOCH_DAY + day).isoformat()
