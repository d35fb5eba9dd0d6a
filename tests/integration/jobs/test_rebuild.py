"""The lanes are made again from MongoDB while jobs are accepted and run; memory is bounded however many wait."""

from datetime import timedelta

import psutil
import pytest
from bson import encode
from bson.raw_bson import RawBSONDocument
from common.probe.be_quick import BeQuick
from pymongo import WriteConcern

from common.caller import Caller
from common.errors import Unavailable
from common.ids import JobId, new_id
from common.jobs import rebuild
from common.jobs.record import new_document
from common.jobs.sweep import Sweep
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_organization

QUEUE = "tickets"
GROWS_AT_MOST_BYTES = 64 * 1024**2


@pytest.fixture
def sweep(services: Services) -> Sweep:
    made = services.sweep()
    made.once()
    return made


def store(services: Services, callers: list[Caller], count: int) -> None:
    """Store queued records that Redis has never heard of."""
    soon = services.control.jobs.with_options(write_concern=WriteConcern(w=1))
    for start in range(0, count, 10_000):
        soon.insert_many(
            [
                RawBSONDocument(
                    encode(
                        new_document(
                            callers[number % len(callers)],
                            BeQuick(),
                            org_id=callers[number % len(callers)].org_id,
                            job_id=JobId(new_id()),
                            now=services.clock.now(),
                            run_at=None,
                            priority=None,
                            tags=(),
                        )
                    )
                )
                for number in range(start, min(count, start + 10_000))
            ],
            ordered=False,
        )


@pytest.mark.parametrize("count", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_it_goes_on_in_slices_and_jobs_are_accepted_and_run_meanwhile(
    services: Services, sweep: Sweep, slot: Slot, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("common.jobs.sweep.REBUILD_SLICE_S", 0.0 if count < 10_000 else 1.0)
    callers = [caller_of(make_organization(services, f"Org {number}")) for number in range(20)]
    services.tiers.change("free", {"waiting": 2_000_000})
    store(services, callers, count)
    services.broker.flushdb()
    process, ran, accepted, shown = psutil.Process(), 0, 0, list[int]()
    before_bytes = process.memory_info().rss

    rebuilt = sweep.once().rebuilt
    while sweep.is_rebuilding:
        progress = services.steering.rebuilding()
        assert progress is not None
        shown.append(progress["admitted"])
        services.submit(callers[0], BeQuick())
        accepted += 1
        assert slot.step() is not None
        ran += 1
        rebuilt += sweep.once().rebuilt

    assert process.memory_info().rss - before_bytes < GROWS_AT_MOST_BYTES
    assert shown == sorted(shown)
    assert len(shown) > 1
    assert services.steering.rebuilding() is None
    assert rebuilt >= count - ran
    assert services.lanes.look(QUEUE).waiting == count + accepted - ran
    assert services.jobs.count_running() == {}
    assert sweep.once().rebuilt == 0


def test_what_runs_counts_against_caps_before_anything_is_admitted(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    jobs = [services.submit(caller, BeQuick()) for _ in range(3)]
    claimed = [slot.claim(slot.take()) for _ in range(2)]
    services.broker.flushdb()

    assert sweep.once().rebuilt == 1

    assert services.lanes.waiting(caller.org_id, [QUEUE]) == (1, 2)
    assert services.lanes.look(QUEUE).over == 1
    for one in claimed:
        assert one is not None
        slot.write(one, slot.run(one))
    assert services.lanes.look(QUEUE).ready == 1
    assert slot.step().id == jobs[2].id


def test_forgotten_once_more_it_begins_again(
    services: Services, caller: Caller, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.jobs.sweep.REBUILD_SLICE_S", 0.0)
    monkeypatch.setattr(rebuild, "PAGE", 2)
    for _ in range(5):
        services.submit(caller, BeQuick())
    services.broker.flushdb()
    sweep.once()
    assert sweep.is_rebuilding
    services.broker.flushdb()

    monkeypatch.setattr("common.jobs.sweep.REBUILD_SLICE_S", 5.0)
    sweep.once()

    assert not sweep.is_rebuilding
    assert services.lanes.look(QUEUE).waiting == 5


def test_a_leader_that_died_in_the_middle_is_followed_by_one_that_begins_again(
    services: Services, caller: Caller, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.jobs.sweep.REBUILD_SLICE_S", 0.0)
    for _ in range(3):
        services.submit(caller, BeQuick())
    services.broker.flushdb()
    sweep.once()
    successor = services.sweep()

    monkeypatch.setattr("common.jobs.sweep.REBUILD_SLICE_S", 5.0)
    assert successor.once().rebuilt == 3

    assert services.lanes.look(QUEUE).waiting == 3
    assert services.steering.rebuilding() is None


def test_leases_are_returned_and_deferred_jobs_stay_deferred_meanwhile(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    lost, later = services.submit(caller, BeQuick()), None
    slot.claim(slot.take())
    later = services.submit(caller, BeQuick(), run_at=services.clock.now() + timedelta(hours=1))
    past = services.clock.now() - timedelta(seconds=60)
    services.control.jobs.update_one({"_id": lost.id}, {"$set": {"lease.expires_at": past}})
    services.broker.flushdb()

    swept = sweep.once()

    assert (swept.returned, swept.rebuilt) == (1, 2)
    look = services.lanes.look(QUEUE)
    assert (look.waiting, look.due) == (1, 1)
    assert services.lanes.waiting(caller.org_id, [QUEUE]) == (2, 0)
    assert services.jobs.get(caller.org_id, later.id).state == "waiting"


def test_a_key_of_another_type_is_noticed_by_whoever_meets_it_and_all_is_made_again(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    job = services.submit(caller, BeQuick())
    lane = f"fairway:lane:{QUEUE}:lane:{caller.org_id}:{BeQuick.name}"
    services.broker.delete(lane)
    services.broker.set(lane, "garbage")

    with pytest.raises(Unavailable):
        slot.take()
    assert sweep.once().rebuilt == 1

    assert slot.step().id == job.id
