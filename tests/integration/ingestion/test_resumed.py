"""A run that dies, is stopped or cancelled anywhere goes on where it was: each change once, and exact counts."""

import random
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

import pytest

from common.clock import SystemClock
from common.ids import new_id
from common.jobs.record import JobRecord
from common.tickets.collections import REFUSED_ROWS
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import (
    Death,
    cancelling,
    check,
    claim,
    closing,
    dying,
    finish,
    go,
    let_waits_be_over,
    outcome_of,
    refused,
    turn,
)
from tests.source_server import Answer, Call
from workers.context import Context

FULL = {"new": 4, "updated": 6, "returned": 2, "unchanged": 30, "errors": 2, "deleted": 5}
INCREMENTAL = {"new": 4, "updated": 6, "returned": 2, "unchanged": 30, "errors": 2}
WRITES = {"full": 16, "incremental": 7}
"""How often a run over the source below writes: its begin, five pages, and its end.

A full one, which misses some, reads its five pages again, and writes that it will; a step of deletion; that it is
done; forgetting.
"""
BOUNDARIES = {"full": (1, 3, 7, 9, 13, 14, 15, 16), "incremental": (1, 4, 7)}
"""Those of them that every run of the tests tries."""


def each_write(mode: str, always: Collection[int]) -> list[Any]:
    """Name each write of a run by its number; those are slow that are not *always* tried."""
    numbers = range(1, WRITES[mode] + 1)
    return [pytest.param(one, marks=[] if one in always else [pytest.mark.slow]) for one in numbers]


@pytest.fixture
def changed(ingestion: Ingestion) -> Ingestion:
    """Return an ingestion of a source in which every sort of thing has happened since the last run."""
    source = ingestion.source
    for number in range(45):
        source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")
    ingestion.run("full")
    away = {f"t-{number:04d}": source.records[f"t-{number:04d}"] for number in (40, 41)}
    for record_id in away:
        source.remove(record_id)
    assert ingestion.run("full").result["deleted"] == 2
    for record_id, record in away.items():
        source.put(record_id, text=record["text"])
    for number in range(6):
        source.put(f"t-{number:04d}", text="It has come.", status="closed")
    for number in range(4):
        source.put(f"t-new-{number}", text="A new one.")
    for number in range(6, 11):
        source.remove(f"t-{number:04d}")
    for number in (20, 21):
        source.put(f"t-{number:04d}", text=None)
    return ingestion


def well_ended(ingestion: Ingestion, record: JobRecord, mode: str) -> None:
    """Check the run as one that nothing was done to: what turned bad, and what no such run deletes, stays."""
    assert record.state == "succeeded", record
    wanted = {key: text for key, text in ingestion.source.texts().items() if text is not None}
    kept = {f"t-{number:04d}" for number in ((20, 21) if mode == "full" else (20, 21, *range(6, 11)))}
    texts = ingestion.texts()
    assert {key: text for key, text in texts.items() if key not in kept} == wanted
    assert kept <= texts.keys()
    assert ingestion.figures(record) == (FULL if mode == "full" else INCREMENTAL)
    assert [line for line, _, _ in refused(ingestion, record)] == [43, 44]
    for number in (20, 21):
        ingestion.source.put(f"t-{number:04d}", text=texts[f"t-{number:04d}"])
    after = go(ingestion, ingestion.start("full"))
    check(ingestion, after)
    assert after.result["errors"] == 0


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_run_that_nothing_is_done_to(changed: Ingestion, mode: Any) -> None:
    writes: list[int] = []

    class Counting(Context):
        def write(self, *args: Any, **options: Any) -> Any:
            writes.append(1)
            return super().write(*args, **options)

    record = go(changed, changed.start(mode), Counting)

    assert len(writes) == WRITES[mode]
    well_ended(changed, record, mode)


def deaths() -> Iterator[Any]:
    """Name each moment to die at; just before a write is nearly the same as just after the one before it."""
    for mode, count in WRITES.items():
        for at_write in range(1, count + 1):
            slow = [] if at_write in BOUNDARIES[mode] else [pytest.mark.slow]
            before = slow if at_write in {1, count} else [pytest.mark.slow]
            yield pytest.param(mode, at_write, False, marks=before, id=f"{mode}, before write {at_write}")
            yield pytest.param(mode, at_write, True, marks=slow, id=f"{mode}, after write {at_write}")


@pytest.mark.parametrize(("mode", "at_write", "committed"), deaths())
def test_a_run_that_died_at_a_write_goes_on_exactly(
    changed: Ingestion, mode: Any, at_write: int, *, committed: bool
) -> None:
    record = changed.start(mode)
    with pytest.raises(Death):
        go(changed, record, dying(at_write, committed=committed))

    well_ended(changed, finish(changed, record), mode)


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_run_that_dies_after_every_single_write_still_ends(changed: Ingestion, mode: Any) -> None:
    record = changed.start(mode)
    for _ in range(WRITES[mode] - 1):
        with pytest.raises(Death):
            go(changed, record, dying(2, committed=True))

    well_ended(changed, finish(changed, record), mode)


@pytest.mark.parametrize("at_write", each_write("full", (3, WRITES["full"])))
def test_a_run_whose_worker_shuts_down_goes_on_from_there(changed: Ingestion, at_write: int) -> None:
    record = go(changed, changed.start("full"), closing(at_write))

    assert record.state == ("succeeded" if at_write == WRITES["full"] else "queued")
    well_ended(changed, finish(changed, record), "full")


@pytest.mark.parametrize("at_write", each_write("full", BOUNDARIES["full"]))
def test_a_run_that_is_cancelled_at_any_boundary_leaves_the_rest_to_the_next(
    changed: Ingestion, at_write: int
) -> None:
    changed.source.calls.clear()
    record = go(changed, changed.start("full"), cancelling(at_write))

    is_over = at_write == WRITES["full"]
    assert record.state == ("succeeded" if is_over else "cancelled")
    log = changed.log(record)
    assert (log["status"], log["ended_at"] is not None) == (record.state, True)
    assert log["pages"] == len(changed.source.calls)
    done = {name: log[name] for name in ("new", "updated", "returned", "deleted")}
    after = go(changed, changed.start("full"))
    assert after.state == "succeeded"
    assert {name: done[name] + after.result[name] for name in done} == {name: FULL[name] for name in done}
    assert len(changed.history()) == 2 + 6 + 2 + 5
    assert turn(changed)["job_id"] is None


@pytest.mark.parametrize("at_write", [1, 3, 6, 8, 14])
def test_a_cancelled_run_that_is_retried_goes_on(changed: Ingestion, at_write: int) -> None:
    cancelled = go(changed, changed.start("full"), cancelling(at_write))
    assert cancelled.state == "cancelled"

    record = finish(changed, changed.services.submitter.retry(changed.org_id, cancelled.id))

    well_ended(changed, record, "full")


def test_cancelling_a_run_while_it_runs_is_noticed_at_the_next_page(changed: Ingestion) -> None:
    """As the API asks for it, and as the worker's parent hears of it."""
    record = changed.start("full")

    class Hearing(Context):
        def stop_if_asked(self) -> None:
            asked = self.services.jobs.news([_held(self)]).cancelled
            self._signals.cancel_requested = lambda: bool(asked)  # type: ignore[method-assign]
            super().stop_if_asked()

    def interfere(_call: Call, number: int) -> None:
        if number % 5 == 3:
            changed.services.submitter.cancel(changed.org_id, record.id)

    changed.source.calls.clear()
    changed.source.interfere = interfere
    ended = go(changed, record, Hearing)

    assert ended.state == "cancelled"
    assert len(changed.source.calls) == 3
    assert changed.log(ended)["status"] == "cancelled"


def _held(ctx: Context) -> Any:
    from common.jobs.leases import Held

    return Held(ctx.org_id, ctx.job_id, ctx.claimed.token)


def test_a_run_that_is_cancelled_while_it_waits_is_shown_as_cancelled(changed: Ingestion) -> None:
    answers = [Answer(429, b"", {"Retry-After": "600"})]
    changed.source.interfere = lambda _call, number: answers.pop() if answers and number % 5 == 3 else None
    waits = changed.run("full")
    assert waits.state == "waiting"

    changed.services.submitter.cancel(changed.org_id, waits.id)

    log = changed.services.ingestion_logs.get(changed.org_id, waits.id)
    assert log is not None
    assert (log.status, log.ended_at is not None) == ("cancelled", True)
    let_waits_be_over(changed)
    record = go(changed, changed.start("full"))
    assert record.state == "succeeded"
    assert turn(changed)["job_id"] is None


def test_a_worker_that_lost_its_run_writes_nothing_more(changed: Ingestion) -> None:
    record, later = changed.start("full"), list[JobRecord]()

    class Overtaken(Context):
        writes = 0

        def write(self, *args: Any, **options: Any) -> Any:
            self.writes += 1
            if self.writes == 4:
                lock = f"{self.org_id}:source:{changed.source_id}"
                self.services.locks.reset(lock)
                later.append(finish(changed, changed.services.jobs.get(self.org_id, record.id)))
            return super().write(*args, **options)

    claimed = claim(changed, record)
    _, stale = outcome_of(changed, claimed, Overtaken)

    assert stale.ending in {"lost", "retry"}
    assert not changed.slot.write(claimed, stale)
    well_ended(changed, later[0], "full")


def test_a_run_that_lost_only_its_lock_writes_nothing_more(changed: Ingestion) -> None:
    """Its lease holds, and another run of the source has the lock."""
    record = changed.start("full")
    changed.source.calls.clear()

    class Robbed(Context):
        writes = 0

        def write(self, *args: Any, **options: Any) -> Any:
            self.writes += 1
            if self.writes == 4:
                name = f"{self.org_id}:source:{changed.source_id}"
                self.services.locks.reset(name)
                lease = self.services.locks.acquire(name, 5)
                Context(self.services, self.claimed).write(lambda _: None, under=lease)
                self.services.locks.release(lease)
            return super().write(*args, **options)

    waits = go(changed, record, Robbed)

    assert (waits.state, [one["code"] for one in waits.errors]) == ("waiting", ["lock-lost"])
    assert changed.log(waits)["pages"] == len(changed.source.calls) - 1 == 2
    well_ended(changed, finish(changed, waits), "full")


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
    rows = ingestion.services.scope(ingestion.org_id)[REFUSED_ROWS]
    assert rows.count_documents({}) == 0


def mishap(ingestion: Ingestion, draw: random.Random) -> Answer | None:
    """Change the source, or have it fail, now and then, while its pages are read."""
    source, at = ingestion.source, SystemClock().now()
    chance = draw.random()
    if chance < 0.15:
        source.put(draw.choice(list(source.records)), at=at, text=f"Changed {new_id()}.")
    elif chance < 0.25:
        source.remove(draw.choice(list(source.records)))
    elif chance < 0.35:
        source.put(f"t-{new_id()}", at=at, text="New.")
    elif chance < 0.45:
        return draw.choice([Answer(500, b""), Answer(429, b"", {"Retry-After": "9"}), Answer(200, b"<html>")])
    return None


def run_somehow(ingestion: Ingestion, draw: random.Random) -> None:
    """Run once in either mode, and have it die, shut down or be cancelled now and then."""
    record = ingestion.start(draw.choice(["full", "full", "incremental"]))
    for _ in range(30):
        if record.is_final:
            break
        let_waits_be_over(ingestion)
        fate, at_write = draw.random(), draw.randint(1, 9)
        with suppress(Death):
            if fate < 0.4:
                record = go(ingestion, record, dying(at_write, committed=draw.random() < 0.5))
            elif fate < 0.5:
                record = go(ingestion, record, closing(at_write))
            elif fate < 0.55:
                record = go(ingestion, record, cancelling(at_write))
            else:
                record = go(ingestion, record)
    if not record.is_final:
        record = finish(ingestion, record, 60)
    if record.state == "cancelled" and draw.random() < 0.5:
        finish(ingestion, ingestion.services.submitter.retry(ingestion.org_id, record.id))
