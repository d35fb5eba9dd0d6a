"""From one page to the next: when pages are read again, what ends a run, and from when on the next one asks."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import rfc3339
from common.connectors.connector import Page
from common.errors import JobFailed
from common.tickets.sync import Incoming
from workers.tickets.ingesting import turning
from workers.tickets.ingesting.state import PASSES_MAX, Pass, State
from workers.tickets.ingesting.turning import EMPTY_PAGES_MAX, PAGES_MAX, Turned

BEGAN = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
FIRST = State(started_at=rfc3339(BEGAN), since=None, url=None)


def turned(number: int, *, last: bool = False, changed_at: datetime | None = None, **page: Any) -> Turned:
    following = None if last else f"https://a.example/{number + 1}"
    records = page.pop("records", [{"id": number}])
    incoming = [Incoming(f"id:{one['id']}", "hash", (1, one), changed_at) for one in records if one.get("id")]
    return Turned(f"https://a.example/{number}", Page(records, following, **page), BEGAN, incoming)


def walk(pages: Iterable[Turned], state: State = FIRST, *, is_stable: bool = False, is_full: bool = True) -> State:
    for one in pages:
        state = turning.after(state, one, is_stable=is_stable, is_full=is_full)
    return state


def test_after_the_last_page_a_full_run_clears_and_an_incremental_one_ends() -> None:
    pages = [turned(1), turned(2, last=True)]

    assert walk(pages).stage == "clearing"
    assert walk(pages, is_full=False).stage == "ending"


@pytest.mark.parametrize("change", ["changed", "total"])
def test_pages_that_moved_are_read_again_unless_they_can_not_move(change: str) -> None:
    if change == "changed":
        pages = [turned(1), turned(2, last=True, changed_at=BEGAN)]
    else:
        pages = [turned(1, total=20), turned(2, last=True, total=19)]

    again, steady = walk(pages), walk(pages, is_stable=True)

    assert (again.stage, again.url, again.now_on) == ("reading", None, Pass(2))
    assert (steady.stage, steady.now_on.number) == ("clearing", 1)


def test_they_are_read_again_so_often_and_no_more() -> None:
    state = FIRST
    for _ in range(PASSES_MAX):
        assert state.stage == "reading"
        state = walk([turned(1), turned(2, last=True, changed_at=BEGAN)], state)

    assert (state.stage, state.pages) == ("clearing", 2 * PASSES_MAX)


def test_the_most_that_a_source_said_there_are_is_what_it_has_to_show() -> None:
    state = walk([turned(1, total=35), turned(2, total=20), turned(3, total=10)])

    assert (state.now_on.total, state.now_on.records) == (35, 3)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_of_empty_pages_only_many_in_a_row_end_a_run(sizes: list[int]) -> None:
    pages = [
        turned(number, records=[{"id": f"{number}-{one}"} for one in range(size)])
        for number, size in enumerate(sizes, 1)
    ]
    runs = "".join("e" if size == 0 else "f" for size in sizes).split("f")

    if max(map(len, runs)) >= EMPTY_PAGES_MAX:
        with pytest.raises(JobFailed) as failed:
            walk(pages)
        assert failed.value.shown_code == "source-endless"
    else:
        assert walk(pages).pages == len(sizes)


def test_pages_of_rubbish_that_repeat_end_a_run_like_others() -> None:
    """None of them can be a ticket, and each has a new address."""
    with pytest.raises(JobFailed) as failed:
        walk(turned(number, records=[{"text": "no id"}, {}]) for number in range(1, 1_000))

    assert failed.value.shown_code == "source-repeats"


def test_pages_without_end_end_a_run() -> None:
    state = replace(FIRST, now_on=replace(Pass(), pages=PAGES_MAX - 1))

    with pytest.raises(JobFailed) as failed:
        walk([turned(1)], state)

    assert failed.value.shown_code == "source-endless"
    assert walk([turned(1, last=True)], state).stage == "clearing"


@pytest.mark.parametrize(
    ("newest", "began", "now", "mark"),
    [
        (-10, 0, 60, -10),
        (30, 0, 60, 0),
        (9_999, 0, 60, 0),
        (9_999, 9_999, 60, 60),
        (30, None, 60, 30),
        (None, 0, 60, None),
    ],
    ids=["all of it was there", "some changed meanwhile", "dated ahead", "a clock ahead", "no page", "no time"],
)
def test_the_next_run_asks_from_no_later_than_the_last_walk_began(
    newest: int | None, began: int | None, now: int, mark: int | None
) -> None:
    def at(minutes: int | None) -> str | None:
        return rfc3339(BEGAN + timedelta(minutes=minutes)) if minutes is not None else None

    assert turning.watermark(at(newest), at(began), BEGAN + timedelta(minutes=now)) == at(mark)


def test_it_asks_for_what_was_written_down_late_too() -> None:
    mark = rfc3339(BEGAN)

    assert turning.since(mark, timedelta(minutes=5)) == BEGAN - timedelta(minutes=5)
    assert turning.since(None, timedelta(minutes=5)) is None


def test_an_address_without_bounds_is_not_taken() -> None:
    with pytest.raises(JobFailed) as failed:
        turning.check(Page([], "https://a.example/" + "x" * turning.URL_MAX_CHARS))

    assert failed.value.shown_code == "page-too-large"


def test_a_mark_that_nobody_can_read_is_none() -> None:
    assert turning.since("100-01-01T00:00:00.000Z", timedelta(minutes=5)) is None
    assert turning.since("0001-01-01T00:00:00.000Z", timedelta(minutes=5)) is None
