"""What pictures show, reckoned out: where each bar of a trend stands and what its axes say."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal

WIDTH, HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 16, 36
_DAYS_MOST, _WEEKS_MOST = 93, 730
_TICKS, _MARKS = 4, 8
_NARROWEST = 1.0
_WEEK = 7

Unit = Literal["day", "week", "month"]


@dataclass(frozen=True)
class Bar:
    """A part of the range, and how many tickets it has; where it stands, in units of the picture."""

    label: str
    total: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """What an axis says, and where."""

    at: float
    label: str


@dataclass(frozen=True)
class Trend:
    """Bars over time, one a *unit*; *ticks* are heights, *marks* are times."""

    unit: Unit
    bars: Sequence[Bar]
    ticks: Sequence[Mark]
    marks: Sequence[Mark]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


def trend(days: Sequence[Mapping[str, Any]]) -> Trend:
    """Return the picture of a daily trend, in days, or in weeks or months where those are too many."""
    unit = _unit(len(days))
    parts = list(_parts(days, unit))
    step = _step(max((total for _, total in parts), default=0))
    top = step * max(1, math.ceil(max((total for _, total in parts), default=0) / step))
    room = (WIDTH - _LEFT - _RIGHT) / max(1, len(parts))
    gap = min(6.0, room * 0.2)
    bars = [
        _bar(label, total, x=_LEFT + number * room + gap / 2, width=max(_NARROWEST, room - gap), top=top)
        for number, (label, total) in enumerate(parts)
    ]
    ticks = [Mark(_height_at(value, top), f"{value:,}") for value in range(0, top + 1, step)]
    every = max(1, math.ceil(len(bars) / _MARKS))
    marks = [Mark(round(bar.x + bar.width / 2, 2), bar.label) for bar in bars[::every]]
    return Trend(unit, bars, ticks, marks)


def _unit(days: int) -> Unit:
    if days <= _DAYS_MOST:
        return "day"
    return "week" if days <= _WEEKS_MOST else "month"


def _parts(days: Sequence[Mapping[str, Any]], unit: Unit) -> Iterator[tuple[str, int]]:
    """Put days together, each part named by its first day or its month."""
    found = [(date.fromisoformat(one["date"]), one["total"]) for one in days]
    first = found[0][0] if found else date.min

    def begins(one: tuple[date, int]) -> date:
        match unit:
            case "day":
                return one[0]
            case "week":
                return first + timedelta(days=(one[0] - first).days // _WEEK * _WEEK)
            case "month":
                return one[0].replace(day=1)

    for begun, some in groupby(found, key=begins):
        yield f"{begun:%Y-%m}" if unit == "month" else f"{begun:%Y-%m-%d}", sum(total for _, total in some)


def _step(most: int) -> int:
    """Return a round step that makes at most some four of *most*: 1, 2 or 5 times a power of ten."""
    least = max(1.0, most / _TICKS)
    power: int = 10 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least)


def _height_at(value: int, top: int) -> float:
    return round(HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM), 2)


def _bar(label: str, total: int, *, x: float, width: float, top: int) -> Bar:
    y = _height_at(total, top)
    return Bar(label, total, round(x, 2), y, round(width, 2), round(HEIGHT - _BOTTOM - y, 2))
