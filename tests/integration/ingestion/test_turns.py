"""Whose run it is, and what people do to tickets and sources meanwhile: nothing of theirs is lost."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from common.errors import Conflict
from common.jobs.record import JobRecord
from common.sources.collections import INGESTION_LOGS
from common.tickets.collections import TICKETS, TOMBSTONES
from common.tickets.ingest import IngestTickets
from tests.integration.conftest import caller_of, make_organization
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import check, check_history, finish, go, let_waits_be_over, place_of, turn
from tests.source_server import Answer, Call
from workers.context import Context
from workers.tickets.ingesting import run

TOGETHER = 8


@pytest.fixture
def full(ingestion: Ingestion) -> Ingestion:
    """Return the ingestion of a source with 35 records."""
    for number in range(35):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")
    return ingestion


def during(ingestion: Ingestion, at_place: int, deed: Callable[[], object]) -> None:
    """Do something once, while the page that begins at that record is being asked for."""
    deeds = [deed]

    def interfere(call: Call, _number: int) -> None:
        if place_of(call) == at_place and deeds:
            deeds.pop()()

    ingestion.source.interfere = interfere


def test_of_two_starts_at_once_one_is_accepted_and_runs(full: Ingestion) -> None:
    accepted, refused = list[JobRecord](), list[Conflict]()
    together = threading.Barrier(TOGETHER)

    def start() -> None:
        together.wait()
        try:
            accepted.append(full.start("full"))
        except Conflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=start) for _ in range(TOGETHER)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)

    assert (len(accepted), len(refused)) == (1, TOGETHER - 1)
    assert all(one.extra["job"] == f"/v1/jobs/{accepted[0].id}" for one in refused)
    check(full, go(full, accepted[0]))


def test_a_retried_old_run_fails_while_a_new_one_goes_on(full: Ingestion) -> None:
    full.source.interfere = lambda call, _: Answer(404, b"{}") if place_of(call) == 20 else None
    old = full.run("full")
    full.source.interfere = lambda _call, _: None
    new = full.start("full")

    retried = go(full, full.services.submitter.retry(full.org_id, old.id))

    assert (retried.state, retried.error["code"]) == ("failed", "run-overtaken")
    log = full.log(retried)
    assert (log["status"], log["error"]["code"]) == ("failed", "run-overtaken")
    check(full, go(full, new))


def test_a_run_that_was_forged_beside_another_one_writes_nothing(full: Ingestion) -> None:
    """Whatever made a second job of the same source: only one of them has the turn."""
    first = full.start("full")
    second = full.services.submit(full.caller, IngestTickets(source_id=full.source_id, mode="full"))

    forged = go(full, second)

    assert (forged.state, forged.error["code"]) == ("failed", "run-overtaken")
    assert full.tickets() == {}
    check(full, go(full, first))


def test_two_runs_of_one_source_at_the_same_moment_never_mix(full: Ingestion) -> None:
    first = full.start("full")
    second = full.services.submit(full.caller, IngestTickets(source_id=full.source_id, mode="full"))
    seen = list[JobRecord]()
    during(full, 10, lambda: seen.append(go(full, second)))

    ended = go(full, first)

    check(full, ended)
    assert [(one.state, (one.waiting_for or {}).get("reason")) for one in seen] == [("waiting", "lock")]
    assert full.figures(ended) == {"new": 35}


@pytest.mark.parametrize("at_place", [0, 20])
def test_a_source_that_is_deleted_meanwhile_fails_its_run(full: Ingestion, at_place: int) -> None:
    during(full, at_place, lambda: full.services.sources.delete(full.caller, full.source_id, revision=None))

    record = full.run("full")

    assert (record.state, record.error["code"]) == ("failed", "source-deleted")
    assert len(full.tickets()) == at_place
    assert full.log(record)["status"] == "failed"


def test_a_source_that_is_deleted_before_its_run_begins_fails_it(full: Ingestion) -> None:
    other = full.services.submit(full.caller, IngestTickets(source_id=full.source_id, mode="full"))
    full.services.sources.delete(full.caller, full.source_id, revision=None)

    record = go(full, other)

    assert (record.state, record.error["code"]) == ("failed", "source-deleted")
    assert full.source.calls == []


def test_a_source_that_is_deleted_while_its_run_clears_deletes_no_more(full: Ingestion) -> None:
    full.run("full")
    full.source.remove("t-0003")

    class Deleting(Context):
        def write(self, *args: Any, **options: Any) -> Any:
            if options.get("stage") == "clearing, pass 2" and turn(full):
                full.services.sources.delete(full.caller, full.source_id, revision=None)
            return super().write(*args, **options)

    record = go(full, full.start("full"), Deleting)

    assert (record.state, record.error["code"]) == ("failed", "source-deleted")
    assert len(full.tickets()) == 35


def test_a_source_of_another_organization_can_not_be_run(full: Ingestion) -> None:
    stranger = caller_of(make_organization(full.services, "Other"))
    job = full.services.submit(stranger, IngestTickets(source_id=full.source_id, mode="full"))

    record = go(replace(full, caller=stranger), job)

    assert (record.state, record.error["code"]) == ("failed", "source-deleted")
    assert full.source.calls == []
    assert full.services.scope(stranger.org_id)[INGESTION_LOGS].count_documents({}) == 0


def test_an_edit_by_hand_is_kept_until_its_record_changes(full: Ingestion) -> None:
    full.run("full")
    ticket = full.tickets()["t-0003"]
    full.services.tickets.change(full.caller, ticket["_id"], {"subject": "By hand"}, revision=0)

    full.run("full")
    kept = full.tickets()["t-0003"]
    full.source.put("t-0003", text="It has come.", subject="By the source")
    full.run("full")

    assert kept["subject"] == "By hand"
    assert full.tickets()["t-0003"]["subject"] == "By the source"
    assert [one["action"] for one in full.history()] == ["edited", "updated"]
    check_history(full)


def test_a_class_that_was_set_by_hand_stays_whatever_its_record_says(full: Ingestion) -> None:
    full.run("full")
    ticket = full.tickets()["t-0003"]
    full.services.tickets.change(full.caller, ticket["_id"], {"urgency": "high"}, revision=0)

    full.source.put("t-0003", text="Thank you, all is well.")
    full.run("full")

    after = full.tickets()["t-0003"]
    assert (after["urgency"], after["message"]) == ("high", "Thank you, all is well.")
    check_history(full)


def test_a_ticket_that_was_deleted_by_hand_stays_deleted(full: Ingestion) -> None:
    full.run("full")
    ticket = full.tickets()["t-0003"]
    full.services.tickets.delete(full.caller, ticket["_id"], revision=None)

    unchanged = full.run("full")
    full.source.put("t-0003", text="It has come.")
    full.run("full")

    assert full.figures(unchanged) == {"unchanged": 35}
    assert "t-0003" not in full.tickets()


def test_a_ticket_that_was_deleted_by_hand_and_expired_stays_deleted(full: Ingestion) -> None:
    full.run("full")
    ticket = full.tickets()["t-0003"]
    full.services.tickets.delete(full.caller, ticket["_id"], revision=None)
    scope = full.services.scope(full.org_id)
    scope[TICKETS].delete_many({"_id": ticket["_id"]})

    record = full.run("full")

    assert full.figures(record) == {"unchanged": 35}
    assert "t-0003" not in full.tickets()
    assert scope[TOMBSTONES].count_documents({"natural_key": "id:t-0003"}) == 1


def test_a_ticket_that_its_source_deleted_and_somebody_restored_goes_again_unless_its_record_is_back(
    full: Ingestion,
) -> None:
    full.run("full")
    record = full.source.records["t-0003"]
    ticket = full.tickets()["t-0003"]
    full.source.remove("t-0003")
    full.run("full")
    full.services.tickets.restore(full.caller, ticket["_id"], revision=None)

    incremental, again = full.run("incremental"), full.run("full")
    full.source.put("t-0003", text=record["text"])
    back = full.run("full")

    assert [one.result["deleted"] for one in (incremental, again, back)] == [0, 1, 0]
    assert full.tickets()["t-0003"]["_id"] == ticket["_id"]
    assert [one["action"] for one in full.history()] == ["deleted", "restored", "deleted", "returned"]
    check(full, back)


@pytest.mark.parametrize("deed", ["edit", "delete"])
def test_what_is_done_by_hand_between_reading_and_writing_a_page_is_not_lost(full: Ingestion, deed: str) -> None:
    full.run("full")
    ticket = full.tickets()["t-0003"]
    full.source.put("t-0003", text="It has come.")
    deeds = [deed]

    class Late(Context):
        """A person is quicker than the transaction of the page."""

        def write(self, *args: Any, **options: Any) -> Any:
            if deeds and options.get("done"):
                deeds.pop()
                if deed == "edit":
                    full.services.tickets.change(
                        full.caller, ticket["_id"], {"customer_id": "by hand"}, revision=0
                    )
                else:
                    full.services.tickets.delete(full.caller, ticket["_id"], revision=0)
            return super().write(*args, **options)

    record = go(full, full.start("incremental"), Late)

    assert record.state == "succeeded"
    actions = [one["action"] for one in full.history()]
    if deed == "edit":
        assert sorted(actions) == ["edited", "updated"]
        assert full.tickets()["t-0003"]["message"] == "It has come."
    else:
        assert "deleted" in actions
        assert "t-0003" not in full.tickets()
    check_history(full)


def test_tickets_that_others_keep_changing_make_the_run_try_again_later(full: Ingestion) -> None:
    full.run("full")
    ticket_id = full.tickets()["t-0003"]["_id"]
    full.source.put("t-0003", text="It has come.")
    edits: list[int] = []

    class Pestered(Context):
        def write(self, *args: Any, **options: Any) -> Any:
            if options.get("done"):
                edits.append(len(edits))
                change = {"customer_id": f"by hand {len(edits)}"}
                full.services.tickets.change(full.caller, ticket_id, change, revision=None)
            return super().write(*args, **options)

    record = go(full, full.start("incremental"), Pestered)

    assert (record.state, record.waiting_for["reason"], record.attempt) == ("waiting", "retry", 1)
    assert record.errors[0]["code"] == "unavailable"
    ended = finish(full, record)
    assert (ended.state, full.tickets()["t-0003"]["message"]) == ("succeeded", "It has come.")
    assert len(full.history()) == len(edits) + 1
    check_history(full)


def test_a_source_that_is_changed_meanwhile_goes_on_as_it_was_begun_or_anew(full: Ingestion) -> None:
    """Where it is asked can't change while a run goes on; how fast and how much can."""
    during(
        full,
        10,
        lambda: full.services.sources.change(
            full.caller, full.source_id, {"name": "Renamed"}, credentials=None, revision=None
        ),
    )
    record = full.start("full")
    with pytest.raises(Conflict):
        full.services.sources.change(
            full.caller, full.source_id, {"base_url": f"{full.source.url}/v2"}, credentials=None, revision=None
        )

    check(full, go(full, record))


def test_two_sources_with_the_same_records_make_tickets_of_their_own(full: Ingestion) -> None:
    from tests.integration.ingestion.test_errors_and_waits import another

    twin, theirs = another(full, of_the_same_organization=True), another(full)

    for one in (full, twin, theirs):
        let_waits_be_over(one)
        check(one, one.run("full"))

    full.source.remove("t-0003")
    full.run("full")
    assert (len(full.tickets()), len(twin.tickets()), len(theirs.tickets())) == (34, 35, 35)


def test_a_run_that_takes_long_lets_others_go_on_in_between(
    full: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "TURN_S", 0.0)
    record, claims = full.start("full"), 0
    while not record.is_final:
        record, claims = go(full, record), claims + 1

    assert (claims, record.attempt, record.losses) == (5, 0, 0)
    check(full, record)
    assert full.figures(record) == {"new": 35}
