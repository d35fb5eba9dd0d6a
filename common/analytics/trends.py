"""Totals of quarter hours made those of the hours and days of a zone. Pure.

From 1980 on all zones are whole quarter hours away from UTC, so that each quarter hour lies in one local hour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from common.tickets.counting.cells import QUARTER

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_A_DAY = 96
_AN_HOUR = 4
_HOURS = [f"T{hour:02}:00:00" for hour in range(24)]


def quarter_at(at: datetime) -> int:
    """Return the number of the quarter hour, counted from 1970, in which an instant lies."""
    return (at - _EPOCH) // QUARTER


def instant_of(quarter: int) -> datetime:
    """Return when a quarter hour begins."""
    return _EPOCH + quarter * QUARTER


@dataclass(frozen=True)
class Totals:
    """How many there are by quarter hour from *first* to before *end*; *until* has the sums of all before each."""

    first: int
    end: int
    until: list[int]

    @classmethod
    def of(cls, first: int, counts: Sequence[int]) -> "Totals":
        """Make them of the counts from *first* on."""
        return cls(first, first + len(counts), list(accumulate(counts, initial=0)))

    def between(self, start: int, end: int) -> int:
        """Return how many there are from one quarter hour to before another."""
        return self.until[self._within(end)] - self.until[self._within(start)]

    def _within(self, quarter: int) -> int:
        return min(max(quarter, self.first), self.end) - self.first


def by_day(totals: Totals, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return each day of the zone that the range touches, with how many there are."""
    return [
        {"date": day.isoformat(), "total": totals.between(start, end)} for day, start, end in _days(totals, zone)
    ]


def by_hour(totals: Totals, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return each hour of the zone that the range touches; one that comes twice is two, one left out is none."""
    found: list[dict[str, Any]] = []
    for day, start, end in _days(totals, zone):
        offset = _same_offset(start, end, zone)
        if offset is not None and totals.first <= start and end <= totals.end:  # nearly all of a year's days
            until = totals.until[start - totals.first : end - totals.first + 1 : _AN_HOUR]
            date_, hours = day.isoformat(), zip(_HOURS, until, until[1:], strict=False)
            found += [{"from": f"{date_}{hour}{offset}", "total": after - before} for hour, before, after in hours]
            continue
        for label, first, last in _hours(start, end, zone):
            if first < totals.end and last > totals.first:
                found.append({"from": label, "total": totals.between(first, last)})
    return found


def _days(totals: Totals, zone: ZoneInfo) -> Iterator[tuple[date, int, int]]:
    """Go through the local days with the quarter hours from which and to which they last."""
    day = instant_of(totals.first).astimezone(zone).date()
    start = _midnight(day, zone)
    while start < totals.end:
        following = day + timedelta(days=1)
        end = _midnight(following, zone)
        if end > max(start, totals.first):  # some zone once left a whole day out
            yield day, start, end
        day, start = following, end


def _midnight(day: date, zone: ZoneInfo) -> int:
    # A midnight that the clock passes over is the instant at which it does; of two the first begins the day.
    return quarter_at(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))


def _same_offset(start: int, end: int, zone: ZoneInfo) -> str | None:
    """Return the offset from UTC of a day of 24 hours that begins and ends with the same one."""
    first, last = instant_of(start).astimezone(zone).isoformat()[11:], instant_of(end).astimezone(zone).isoformat()
    is_plain = end - start == _A_DAY and first == last[11:] and first.startswith("00:00:00")
    return first[8:] if is_plain else None


def _hours(start: int, end: int, zone: ZoneInfo) -> Iterator[tuple[str, int, int]]:
    label, began = "", start
    for quarter in range(start, end):
        now = instant_of(quarter).astimezone(zone).replace(minute=0).isoformat()
        if now != label:
            if label:
                yield label, began, quarter
            label, began = now, quarter
    yield label, began, end
