"""Pages that change nothing are written with the next that does, and before anything that ends the run's turn."""

import random
from typing import Any

import pytest

from common.errors import CancelRequested
from common.jobs.record import JobRecord
from common.tickets.seen import SEEN
from tests.integration.conftest import Asked
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import Death, check, dying, finish, go, let_waits_be_over, place_of
from tests.integration.ingestion.test_resumed import mishap, run_somehow
from tests.source_server import Answer
from workers.context import Context
from workers.tickets.ingesting import ledger


@pytest.fixture(autouse=True)
def put_off_as_long_as_can_be(
    pages_written_at_once: None,  # noqa: ARG001 (this comes after it)
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "WRITTEN_EVERY_S", 1_000.0)


@pytest.fixture
def known(ingestion: Ingestion) -> Ingestion:
    """Return an ingestion of five pages, which have been read before."""
    for number in range(50):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")
    ingestion.run("full")
    ingestion.source.calls.clear()
    return ingestion


def change(ingestion: Ingestion, page: int) -> None:
    """Change a record where it stands."""
    ingestion.source.records[f"t-{page * 10 + 3:04d}"]["text"] = "It has come."


def written_after(ingestion: Ingestion, mode: Any) -> list[int]:
    """Run, and return after which pages something was written."""
    pages = dict[int, None]()

    class Counting(Context):
        def write(self, *args: Any, **options: Any) -> Any:
            if checkpoint := options.get("checkpoint"):
                pages[checkpoint["pages"]] = None
            return super().write(*args, **options)

    check(ingestion, go(ingestion, ingestion.start(mode), Counting))
    return list(pages)


def places(ingestion: Ingestion) -> list[int]:
    """Return at which record each page began that was asked for."""
    return [place_of(call) for call in ingestion.source.calls]


def test_a_run_over_what_it_knows_is_written_after_its_last_page(known: Ingestion) -> None:
    incremental, full = written_after(known, "incremental"), written_after(known, "full")

    assert (incremental, full) == ([5], [5])


def test_a_page_that_changes_something_is_written_at_once_with_those_before_it(known: Ingestion) -> None:
    change(known, page=2)

    assert written_after(known, "full") == [3, 5]


@pytest.mark.parametrize("at_write", range(1, 7))
@pytest.mark.parametrize("committed", [True, False])
def test_a_death_costs_reading_and_nothing_else(known: Ingestion, at_write: int, *, committed: bool) -> None:
    change(known, page=2)
    known.source.remove("t-0044")
    record = known.start("full")
    with pytest.raises(Death):
        go(known, record, dying(at_write, committed=committed))

    ended = finish(known, record)

    check(known, ended)
    assert known.figures(ended) == {"updated": 1, "unchanged": 48, "deleted": 1}


@pytest.mark.parametrize(
    "answer", [Answer(429, b"", {"Retry-After": "60"}), Answer(500, b""), Answer(200, b"<html>")]
)
def test_nothing_that_was_read_before_a_wait_is_read_again(known: Ingestion, answer: Answer) -> None:
    known.source.interfere = lambda _call, number: answer if number == 4 else None

    waits = known.run("full")

    assert (waits.state, known.log(waits)["pages"]) == ("waiting", 3)
    ended = finish(known, waits)
    assert places(known) == [0, 10, 20, 30, 30, 40]
    check(known, ended)
    assert known.figures(ended) == {"unchanged": 50}


def test_nothing_that_was_read_before_a_failure_is_read_again_by_its_retry(known: Ingestion) -> None:
    known.source.interfere = lambda _call, number: Answer(403, b"") if number == 4 else None
    failed = known.run("full")
    assert (failed.state, known.log(failed)["pages"]) == ("failed", 3)

    ended = finish(known, known.services.submitter.retry(known.org_id, failed.id))

    assert places(known) == [0, 10, 20, 30, 30, 40]
    check(known, ended)


@pytest.mark.parametrize(("asked", "state"), [({"cancel": True}, "cancelled"), ({"close": True}, "queued")])
def test_a_run_that_is_stopped_between_pages_is_kept_as_far_as_it_got(
    known: Ingestion, asked: dict[str, bool], state: str
) -> None:
    signals = Asked()

    def interfere(_call: Any, number: int) -> None:
        if number == 3:
            vars(signals).update(asked)

    known.source.interfere = interfere
    record = go(known, known.start("full"), signals=signals)

    assert (record.state, known.log(record)["pages"]) == (state, 3)
    assert len(places(known)) == 3


def test_a_worker_that_lost_its_run_keeps_nothing_that_it_put_off(known: Ingestion) -> None:
    record, later = known.start("full"), list[JobRecord]()

    class Overtaken(Context):
        pages = 0

        def progress(self, *args: Any, **options: Any) -> None:
            self.pages += 1
            if self.pages == 3:
                self.services.locks.reset(f"{self.org_id}:source:{known.source_id}")
                later.append(finish(known, known.services.jobs.get(self.org_id, record.id)))
                raise CancelRequested("It settles what it put off.")
            super().progress(*args, **options)

    go(known, record, Overtaken)

    check(known, later[0])
    assert known.services.scope(known.org_id)[SEEN].count_documents({}) == 0


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))]
)
def test_whatever_happens_the_tickets_equal_the_source_at_the_end(ingestion: Ingestion, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(40):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}.")
    ingestion.source.interfere = lambda _call, _number: mishap(ingestion, draw)

    for _ in range(5):
        run_somehow(ingestion, draw)

    ingestion.source.interfere = lambda _call, _number: None
    let_waits_be_over(ingestion)
    check(ingestion, finish(ingestion, ingestion.start("full")))
