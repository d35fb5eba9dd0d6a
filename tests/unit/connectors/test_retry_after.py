"""How long a host asks us to wait, in earnest or not."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.connectors.retry_after import seconds, until_reset

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "wait_s"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("1.5", 1.5),
        ("99999999", 3_600),
        ("99999999999999999999", 3_600),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
    ],
)
def test_seconds_and_dates_are_read_and_capped(asked: str, wait_s: float) -> None:
    assert seconds({"retry-after": asked}, NOW) == wait_s


@pytest.mark.parametrize(
    "asked", ["", "-5", "soon", "1e9", "٣", "0x10", "9" * 400, "Sun, 99 Foo 2026", "1, 2", "nan", "\x00"]
)
def test_what_is_neither_says_nothing(asked: str) -> None:
    assert seconds({"retry-after": asked}, NOW) is None
    assert seconds({}, NOW) is None


def test_a_date_is_held_against_the_clock_of_whoever_wrote_it() -> None:
    an_hour_off = {"retry-after": "Sun, 01 Mar 2026 13:00:30 GMT", "date": "Sun, 01 Mar 2026 13:00:00 GMT"}

    assert seconds(an_hour_off, NOW) == 30
    assert seconds({**an_hour_off, "date": "never"}, NOW) == 3_600


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"x-ratelimit-reset": "1772366445"}, 45),
        ({"x-ratelimit-reset": "1772366445000"}, 45),
        ({"x-ratelimit-reset": "1772366000"}, 0),
        ({"x-ratelimit-reset": "9999999999"}, 3_600),
        ({"ratelimit-reset": "41"}, 41),
        ({"x-ratelimit-reset": "later", "ratelimit-reset": "41"}, 41),
        ({"x-ratelimit-reset": "later"}, None),
        ({}, None),
    ],
)
def test_a_reset_is_an_instant_or_a_time(headers: Mapping[str, str], wait_s: float | None) -> None:
    assert until_reset(headers, NOW) == wait_s


@given(
    st.dictionaries(st.sampled_from(["retry-after", "date", "x-ratelimit-reset", "ratelimit-reset"]), st.text())
)
def test_no_header_makes_anybody_wait_longer_than_an_hour(headers: dict[str, str]) -> None:
    for wait_s in (seconds(headers, NOW), until_reset(headers, NOW)):
        assert wait_s is None or 0 <= wait_s <= 3_600
