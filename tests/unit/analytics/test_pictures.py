"""Each ticket of a trend is in one bar, no bar leaves the picture, and its axes say round things."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.analytics.reporting.overview import NAME_MAX_CHARS, duration, shown_name
from workers.analytics.reporting.pictures import HEIGHT, WIDTH, trend

DAYS = st.lists(st.integers(0, 10**7), min_size=1, max_size=3_700)


def daily(totals: list[int]) -> list[dict[str, object]]:
    first = date(2020, 1, 31)
    return [{"date": (first + timedelta(days=at)).isoformat(), "total": n} for at, n in enumerate(totals)]


@given(DAYS)
def test_every_ticket_is_in_one_bar_within_the_picture(totals: list[int]) -> None:
    found = trend(daily(totals))

    assert sum(bar.total for bar in found.bars) == sum(totals)
    assert len(found.bars) <= 125
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y >= 0 for bar in found.bars)
    assert all(bar.y + bar.height <= HEIGHT for bar in found.bars)
    assert 2 <= len(found.ticks) <= 7
    assert len(found.marks) <= 9
    assert len({bar.label for bar in found.bars}) == len(found.bars)


@pytest.mark.parametrize(
    ("days", "unit", "bars"),
    [(1, "day", 1), (93, "day", 93), (94, "week", 14), (730, "week", 105), (731, "month", 25)],
)
def test_a_long_range_is_shown_by_weeks_and_months(days: int, unit: str, bars: int) -> None:
    found = trend(daily([1] * days))

    assert (found.unit, len(found.bars)) == (unit, bars)


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, ["0", "1"]),
        (3, ["0", "1", "2", "3"]),
        (7, ["0", "2", "4", "6", "8"]),
        (180, ["0", "50", "100", "150", "200"]),
        (4_100, ["0", "2,000", "4,000", "6,000"]),
    ],
)
def test_heights_are_round(most: int, ticks: list[str]) -> None:
    assert [tick.label for tick in trend(daily([most])).ticks] == ticks


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "none"), (0.5, "< 1 s"), (1, "1.0 s"), (840.2, "14 min"), (5_400, "1.5 h"), (864_000, "10 d")],
)
def test_a_duration_is_said_in_its_largest_unit(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_name_is_short_and_moves_nothing() -> None:
    assert shown_name("\u202egnp.exe\x00") == "\ufffdgnp.exe\ufffd"
    assert len(shown_name("x" * 10_000)) == NAME_MAX_CHARS
