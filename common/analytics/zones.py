"""How far a zone is from UTC, and when that changes; in seconds from 1970. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

_A_DAY_S = 86_400
_A_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Stretch:
    """Time from *start* to before *end* in which a zone's clock is *offset* ahead of UTC."""

    start: int
    end: int
    offset: int


def stretches(zone: ZoneInfo, start: int, end: int) -> list[Stretch]:
    """Return the stretches of one offset that make up the time from *start* to before *end*."""
    edges = pairwise([start, *changes(zone, start, end), end])
    return [Stretch(begin, until, _offset_at(zone, begin)) for begin, until in edges]


def changes(zone: ZoneInfo, start: int, end: int) -> list[int]:
    """Return when the offset changes after *start* and before *end*."""
    years = range(_year_of(start), _year_of(end) + 1)
    return [at for year in years for at in _changes_of(zone.key, year) if start < at < end]


@lru_cache(maxsize=4_096)
def _changes_of(zone_key: str, year: int) -> tuple[int, ...]:
    """Look from day to day, and where the offset differs, between; no zone ever changed it twice in a day."""
    zone = ZoneInfo(zone_key)
    first, last = (int(datetime(one, 1, 1, tzinfo=UTC).timestamp()) for one in (year, year + 1))
    days = pairwise(range(first, last + 1, _A_DAY_S))
    return tuple(_change_in(zone, *day) for day in days if _offset_at(zone, day[0]) != _offset_at(zone, day[1]))


def _change_in(zone: ZoneInfo, before: int, after: int) -> int:
    old = _offset_at(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_at(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset_at(zone: ZoneInfo, at: int) -> int:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    return 0 if offset is None else offset // _A_SECOND


def _year_of(at: int) -> int:
    return datetime.fromtimestamp(at, UTC).year
