"""Fair lanes on real workers: nobody waits for another's crowd, caps hold over deaths, slots come and go."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from common.probe.leave_marks import LeaveMarks, LeaveRareMarks

from common.ids import OrgId
from tests.faults.fleet import LEASE_S, QUEUE, SIGKILL, SWEEP_S, WORK, Fleet, until
from tests.integration.conftest import make_organization

SHORT = LeaveMarks(steps=1, pause_s=0.02)
SLOTS = 4


def begun(fleet: Fleet) -> list[str]:
    """Return the jobs whose handlers began, in that order."""
    return [line.job_id for line in fleet.witness.lines() if line.what == "start"]


@pytest.mark.parametrize("crowd", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_one_job_behind_a_crowd_waits_for_no_more_than_the_jobs_that_run(fleet: Fleet, crowd: int) -> None:
    fleet.services.steering.change_tier("free", {"waiting": 1_000_000})
    fleet.submit(SHORT, crowd, org_id=fleet.org_ids[0])
    fleet.under_way()
    singles = []
    for _ in range(10):
        (single,) = fleet.submit(SHORT, org_id=fleet.org_ids[1])
        # From here on it stands in its lane; while it was being accepted, as long as the disk took, others began.
        before = len(begun(fleet))
        until(lambda single=single: single.id in begun(fleet), "the single job to begin", report=fleet.report)
        singles.append(begun(fleet).index(single.id) - before)

    # Each of the slots may have taken a job of the crowd just before, and begin it now.
    assert max(singles) <= SLOTS, singles
    fleet.settle(300)
    fleet.check()


def test_a_long_job_in_one_slot_keeps_nobody_from_the_others(fleet: Fleet) -> None:
    (long,) = fleet.submit(LeaveMarks(steps=1, pause_s=8), org_id=fleet.org_ids[0])
    until(lambda: long.id in begun(fleet), "the long job to begin", report=fleet.report)

    singles = fleet.submit(SHORT, 20, org_id=fleet.org_ids[0])
    until(
        lambda: all(fleet.services.jobs.get(one.org_id, one.id).is_final for one in singles),
        "the short ones to end",
        report=fleet.report,
    )

    assert fleet.services.jobs.get(long.org_id, long.id).state == "running"
    fleet.settle()
    fleet.check()


def test_caps_hold_while_workers_die_and_a_dead_holder_frees_its_slot(fleet: Fleet) -> None:
    for org_id in fleet.org_ids:
        fleet.submit(WORK, 25, org_id=org_id)
    rare = [fleet.submit(LeaveRareMarks(steps=3, pause_s=0.1), org_id=org_id)[0] for org_id in fleet.org_ids * 3]
    fleet.under_way()
    with watched(fleet) as seen, fleet.fault("kill -9 of workers under caps"):
        for name in (*fleet.workers, "child", *fleet.workers):
            fleet.under_way(4)
            if name == "child":
                os.kill(fleet.child_at_work("worker-1"), SIGKILL)
            else:
                fleet.kill(name)
        fleet.settle()

    assert max(seen["own"]) == 2, "the cap of a free organization"
    assert max(seen["rare"]) == 1, "the cap of the kind"
    assert {fleet.services.jobs.get(one.org_id, one.id).state for one in rare} == {"succeeded"}
    until(lambda: holders(fleet) == 0, "no holder to be left", LEASE_S + SWEEP_S + 5, fleet.report)
    fleet.check()


@pytest.mark.slow
def test_a_poison_job_among_two_hundred_tenants_costs_nobody_else_a_loss(fleet: Fleet) -> None:
    tenants = [make_organization(fleet.services, f"Tenant {number}") for number in range(200)]
    for org_id in tenants[:100]:
        fleet.submit(SHORT, org_id=org_id)
    (poison,) = fleet.submit(LeaveMarks(steps=2, trouble="die", times=99), org_id=fleet.org_id, ends=("failed",))
    for org_id in tenants[100:]:
        fleet.submit(SHORT, org_id=org_id)

    fleet.settle()

    assert fleet.services.jobs.get(fleet.org_id, poison.id).losses == LeaveMarks.terms.max_losses + 1
    hurt = fleet.services.control.jobs.count_documents({"losses": {"$gt": 0}, "_id": {"$ne": poison.id}})
    assert hurt == 0
    fleet.settle_all()


@pytest.mark.parametrize("count", [600, pytest.param(5_000, marks=pytest.mark.slow)])
def test_a_worker_comes_and_another_goes_while_jobs_drain(fleet: Fleet, count: int) -> None:
    fleet.services.steering.change_tier("free", {"waiting": count})
    jobs = [job for org_id in fleet.org_ids for job in fleet.submit(SHORT, count // 3, org_id=org_id)]
    fleet.under_way()

    fleet.run("worker-3")
    fleet.await_slots(SLOTS + 2)
    pid = fleet.pid("worker-1")
    fleet.terminate("worker-1")
    until(lambda: fleet.checker.slots(QUEUE) <= SLOTS, "its slots to go", 5 + 1, fleet.report)
    until(lambda: fleet.supervisor.pid_of("worker-1") not in {pid, None}, "its successor", 40, fleet.report)
    fleet.await_slots(SLOTS + 2)

    fleet.settle(120)
    fleet.check()
    assert {fleet.services.jobs.get(one.org_id, one.id).losses for one in jobs} == {0}


def test_a_borrowed_slot_is_given_back_when_another_needs_it(fleet: Fleet) -> None:
    long = fleet.submit(LeaveMarks(steps=100, pause_s=0.1), SLOTS, org_id=fleet.org_ids[0])
    until(lambda: running(fleet, fleet.org_ids[0]) == SLOTS, "all slots to be borrowed", report=fleet.report)

    singles = [fleet.submit(SHORT, org_id=org_id)[0] for org_id in fleet.org_ids[1:]]
    until(
        lambda: all(fleet.services.jobs.get(one.org_id, one.id).is_final for one in singles),
        "the others' jobs to end",
        report=fleet.report,
    )

    assert not any(fleet.services.jobs.get(one.org_id, one.id).is_final for one in long)
    assert sum(fleet.services.jobs.get(one.org_id, one.id).attempt for one in long) == 0
    fleet.settle(90)
    fleet.check()


def running(fleet: Fleet, org_id: OrgId) -> int:
    return fleet.services.control.jobs.count_documents({"org_id": org_id, "state": "running"})


def holders(fleet: Fleet) -> int:
    redis = fleet.raw_redis()
    return sum(redis.hlen(key) for key in redis.keys("fairway:lane:all:holders:*"))


@contextmanager
def watched(fleet: Fleet) -> Iterator[dict[str, list[int]]]:
    """Note again and again how many slots each organization holds of its own, and how many rare jobs run."""
    seen: dict[str, list[int]] = {"own": [0], "rare": [0]}
    stopped = threading.Event()
    redis = fleet.raw_redis()
    over = {"$gt": ["$lease.expires_at", "$$NOW"]}
    rare = {"state": "running", "kind": LeaveRareMarks.name, "$expr": over}
    faults: list[BaseException] = []

    def watch() -> None:
        try:
            while not stopped.wait(0.01):
                for org_id in fleet.org_ids:
                    held: list[Any] = redis.hvals(f"fairway:lane:all:holders:{org_id}")
                    seen["own"].append(sum(one.endswith(b"-") for one in held))
                seen["rare"].append(fleet.services.control.jobs.count_documents(rare))
        except Exception as error:  # noqa: BLE001 (told in the test's own thread)
            faults.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stopped.set()
        thread.join()
    assert not faults
