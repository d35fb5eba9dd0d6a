"""Records that change, come and go while the pages are read: at the end the tickets equal the source."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from common.clock import SystemClock
from common.ids import new_id
from common.sources.draft import Draft
from common.tickets.collections import TICKETS, TOMBSTONES
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import Death, check, dying, finish, go, place_of
from tests.source_server import BY_CURSOR, REST, Answer, Call


@pytest.fixture
def full(ingestion: Ingestion) -> Ingestion:
    """Return the ingestion after a run over 45 records."""
    for number in range(45):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")
    ingestion.run()
    ingestion.source.calls.clear()
    return ingestion


def other(ingestion: Ingestion, config: dict[str, Any]) -> Ingestion:
    """Return another source at the same server."""
    draft = Draft(name="Other", connector="rest", base_url=ingestion.source.url, page_size=10, config=config)
    made = ingestion.services.sources.create(ingestion.caller, draft, {})
    return replace(ingestion, source_id=made.source_id)


def before_call(ingestion: Ingestion, number: int, change: Callable[[], None]) -> None:
    """Have *change* happen at the source just before it answers its call of that number, from 1."""

    def interfere(_call: Call, call_number: int) -> None:
        if call_number == number:
            change()

    ingestion.source.interfere = interfere


def now_text(ingestion: Ingestion, record_id: str, text: str) -> None:
    """Change a record at this moment, by the clock that the source's answers are dated with."""
    ingestion.source.put(record_id, at=SystemClock().now(), text=text)


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_record_that_is_changed_meanwhile_moves_to_the_end(full: Ingestion, mode: str) -> None:
    """It was on a page that is read already; those behind it move up by one, one of them past us."""
    full.source.put("t-0044", text="The last.")
    before_call(full, 3, lambda: now_text(full, "t-0003", "It has come."))

    record = full.run(mode)

    check(full, record)
    assert full.figures(record)["updated"] == 2
    assert record.result["deleted"] == 0


@pytest.mark.parametrize("mode", ["full", "incremental"])
@pytest.mark.parametrize("call", [2, 3, 4, 5])
def test_a_record_that_is_removed_meanwhile_draws_others_past_us(full: Ingestion, call: int, mode: str) -> None:
    """What was seen and is gone at the end goes with the next full run; those that moved are all there."""
    for number in range(5):
        full.source.put(f"t-new-{number}", text="New.")
    before_call(full, call, lambda: full.source.remove("t-0002"))

    record = full.run(mode)

    texts = full.texts()
    assert texts.pop("t-0002")
    assert texts == full.source.texts()
    assert full.figures(record)["new"] == 5
    after = full.run("full")
    check(full, after)
    assert (record.result["deleted"], after.result["deleted"]) == (0, 1)


def test_a_removal_that_no_total_tells_of_is_noticed_by_a_full_run(full: Ingestion) -> None:
    silent = other(full, {**REST, "paging": {"style": "link", "size_parameter": "limit"}})
    silent.run()
    full.source.calls.clear()
    full.source.remove("t-0001")
    before_call(silent, 3, lambda: full.source.remove("t-0005"))

    record = silent.run("full")

    texts = silent.texts()
    assert texts.pop("t-0005")
    assert texts == full.source.texts()
    assert (record.result["deleted"], record.result["passes"]) == (1, 2)
    check(silent, silent.run("full"))


def test_pages_that_never_hold_still_are_read_a_bounded_number_of_times(full: Ingestion) -> None:
    full.source.interfere = lambda _call, number: now_text(full, f"t-{number:04d}", f"It has come, {number}.")

    record = full.run("full")

    assert record.state == "succeeded"
    assert record.result["passes"] == 3
    assert record.result["deleted"] == 0
    full.source.interfere = lambda _call, _: None
    check(full, full.run("full"))


class LaterClock(SystemClock):
    """A clock that a test moves on."""

    later = timedelta()

    def now(self) -> datetime:
        return super().now() + self.later


def test_what_changes_behind_a_cursor_is_asked_for_by_the_next_run(full: Ingestion) -> None:
    """It is on a page that was read, and another one further on is changed an hour later: both come."""
    steady = other(full, BY_CURSOR)
    clock = full.services.clock = LaterClock()
    began_at = clock.now()

    def interfere(call: Call, number: int) -> Answer:
        if number == 3:
            full.source.put("t-0001", at=began_at + timedelta(seconds=1), text="Changed behind us.")
            full.source.put("t-0040", at=began_at + timedelta(minutes=59), text="Changed before us.")
            clock.later = timedelta(hours=1)
        return replace(full.source.page(call), headers={"Date": format_datetime(clock.now(), usegmt=True)})

    full.source.interfere = interfere
    steady.run("full")
    assert steady.texts()["t-0001"] != "Changed behind us."

    record = steady.run("incremental")

    check(steady, record)
    assert steady.texts()["t-0001"] == "Changed behind us."
    assert record.result["read"] < 45


def test_a_record_that_goes_and_comes_back_in_one_run_stays(full: Ingestion) -> None:
    kept = full.source.records["t-0012"]

    def interfere(_call: Call, number: int) -> None:
        if number == 2:
            full.source.remove("t-0012")
        if number == 4:
            full.source.put("t-0012", at=SystemClock().now(), text=kept["text"])

    full.source.interfere = interfere

    record = full.run("full")

    check(full, record)
    assert record.result["deleted"] == 0


def test_tickets_that_came_while_the_run_was_under_way_are_not_deleted(full: Ingestion) -> None:
    """Somebody else made them after the run began, so that it can't know them."""
    scope = full.services.scope(full.org_id)
    full.source.remove("t-0001")
    record = full.start("full")

    def interfere(call: Call, _number: int) -> Answer | None:
        if place_of(call) == 40 and "made" not in full.tickets():
            template = next(iter(scope[TICKETS].find({"source_id": full.source_id}, limit=1)))
            names = {"natural_key": "id:made", "external_id": "made"}
            scope[TICKETS].insert_one({**template, "_id": new_id(), "updated_at": SystemClock().now(), **names})
        return None

    full.source.interfere = interfere
    ended = finish(full, go(full, record))

    assert ended.result["deleted"] == 1
    assert "made" in full.tickets()


def test_an_old_full_run_that_is_retried_deletes_nothing_that_came_back_meanwhile(full: Ingestion) -> None:
    """It had read past the place of a record that was away then, and that a newer run brought back."""
    steady = other(full, BY_CURSOR)
    steady.run("full")
    away = full.source.records["t-0002"]
    full.source.remove("t-0002")
    full.source.interfere = lambda call, _: Answer(404, b"{}") if call.query.get("after", "") > "t-0030" else None
    steady.run("full")
    failed = steady.services.jobs.get(steady.org_id, newest(steady))
    full.source.interfere = lambda _call, _: None
    steady.run("full")
    full.source.put("t-0002", text=away["text"])
    steady.run("full")

    record = finish(steady, steady.services.submitter.retry(steady.org_id, failed.id))

    assert record.state == "succeeded"
    assert steady.texts() == full.source.texts()


@pytest.mark.parametrize("at_write", range(1, 6))
def test_nor_does_it_if_it_dies_while_it_begins_anew(full: Ingestion, at_write: int) -> None:
    steady = other(full, BY_CURSOR)
    steady.run("full")
    away = full.source.records["t-0002"]
    full.source.remove("t-0002")
    full.source.interfere = lambda call, _: Answer(404, b"{}") if call.query.get("after", "") > "t-0030" else None
    steady.run("full")
    failed = steady.services.jobs.get(steady.org_id, newest(steady))
    full.source.interfere = lambda _call, _: None
    full.source.put("t-0002", text=away["text"])
    steady.run("full")

    record = steady.services.submitter.retry(steady.org_id, failed.id)
    with pytest.raises(Death):
        go(steady, record, dying(at_write, committed=True))
    record = finish(steady, record)

    assert record.state == "succeeded"
    assert steady.texts() == full.source.texts()
    assert "deleted" not in [one["action"] for one in steady.history()]


def test_a_ticket_that_expired_and_came_back_is_not_deleted_either(full: Ingestion) -> None:
    """It has its old id, which says nothing of when it came."""
    steady = other(full, BY_CURSOR)
    steady.run("full")
    full.source.remove("t-0002")
    steady.run("full")
    scope = steady.services.scope(steady.org_id)
    scope[TICKETS].delete_many({"source_id": steady.source_id, "deleted_at": {"$ne": None}})
    assert scope[TOMBSTONES].count_documents({"source_id": steady.source_id}) == 1
    full.source.interfere = lambda call, _: Answer(404, b"{}") if call.query.get("after", "") > "t-0030" else None
    failed = steady.run("full")
    full.source.interfere = lambda _call, _: None
    full.source.put("t-0002", text="Back.")
    assert steady.run("full").result["returned"] == 1

    record = finish(steady, steady.services.submitter.retry(steady.org_id, failed.id))

    assert record.state == "succeeded"
    assert steady.texts() == full.source.texts()


def newest(ingestion: Ingestion) -> Any:
    jobs = ingestion.services.control.jobs.find({"org_id": ingestion.org_id}, sort=[("_id", -1)], limit=1)
    return next(iter(jobs))["_id"]


def test_a_size_of_pages_that_is_changed_meanwhile_counts_from_the_next_run_on(full: Ingestion) -> None:
    """A page of the old size is not full by the new one, and would be taken for the last."""
    paging = {"style": "page", "parameter": "number", "size_parameter": "limit", "ends": "short"}
    numbered = other(full, {**REST, "paging": paging})
    records = list(full.source.records.values())
    troubles = [Answer(500, b"")]

    def by_number(call: Call, _number: int) -> Answer:
        number, size = int(call.query["number"]), int(call.query["limit"])
        if number == 3 and troubles:
            return troubles.pop()
        return Answer(body=orjson.dumps({"data": records[size * (number - 1) : size * number]}))

    full.source.interfere = by_number
    finish(numbered, numbered.start("full"))
    troubles.append(Answer(500, b""))
    record = go(numbered, numbered.start("full"))
    assert record.state == "waiting"
    change = numbered.services.sources.change
    change(numbered.caller, numbered.source_id, {"page_size": 50}, credentials=None, revision=None)

    record = finish(numbered, record)

    check(numbered, record)
    assert numbered.figures(record) == {"unchanged": 45}
    full.source.calls.clear()
    numbered.run("full")
    assert [call.query["limit"] for call in full.source.calls] == ["50"]


def test_records_that_come_twice_do_not_make_up_for_those_that_do_not_come(full: Ingestion) -> None:
    """Each page begins with the record that the one before ended with, and the last one shows the first again."""
    records = list(full.source.records.values())
    pages = [*(records[9 * number : 9 * number + 10] for number in range(4)), records[:5]]

    def overlapping(call: Call, _number: int) -> Answer:
        number = int(call.query.get("page", 0))
        following = f"{full.source.url}/tickets?page={number + 1}"
        return Answer(
            body=orjson.dumps({"data": pages[number], "total": 45}),
            headers={"Link": f'<{following}>; rel="next"'} if number < 4 else {},
        )

    full.source.interfere = overlapping

    record = full.run("full")

    assert record.result["read"] == 45
    assert record.result["deleted"] == 0
    assert record.result["kept_because"] == "The source says that it has 45 records, and showed 37."
    assert len(full.tickets()) == 45
