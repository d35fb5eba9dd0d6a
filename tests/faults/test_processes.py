"""Processes die and freeze while jobs run: every accepted job ends, and every effect happens once."""

import os

import psutil
import pytest
from common.probe.be_quick import BeSlow
from common.probe.leave_marks import LeaveMarks

from tests.faults.fleet import LEASE_S, SIGKILL, SIGSTOP, WORK, Fleet, until


def test_kill_9_of_a_child(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    for _ in range(3):
        with fleet.fault("kill -9 of a child"):
            os.kill(fleet.child_at_work("worker-1"), SIGKILL)
        fleet.under_way(4)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_kill_9_of_a_parent_alone(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    fleet.under_way()
    with fleet.fault("kill -9 of a worker's parent alone"):
        os.kill(fleet.pid("worker-1"), SIGKILL)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_kill_9_of_a_whole_worker(fleet: Fleet) -> None:
    fleet.submit(WORK, 60)
    for name in fleet.workers:
        fleet.under_way()
        with fleet.fault("kill -9 of a whole worker"):
            fleet.kill(name)

    fleet.settle()
    fleet.check()


def test_kill_9_of_everything(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    fleet.under_way()
    with fleet.fault("kill -9 of all workers and sweepers at once"):
        for name in (*fleet.workers, *fleet.sweepers):
            fleet.kill(name)
        fleet.await_slots(1)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_a_child_frozen_past_its_lease(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    fleet.under_way()
    child = fleet.child_at_work("worker-1")
    with fleet.fault("SIGSTOP of a child past its lease, then SIGCONT"):
        os.kill(child, SIGSTOP)
        until(lambda: not psutil.pid_exists(child), "its parent to kill it", 5 * LEASE_S, fleet.report)

    fleet.settle()
    fleet.check()


def test_a_worker_frozen_past_its_lease(fleet: Fleet) -> None:
    fleet.submit(LeaveMarks(steps=30, pause_s=0.1), 8)
    fleet.under_way()
    losses = fleet.services.control.jobs
    with fleet.fault("SIGSTOP of a worker past its lease, then SIGCONT"):
        fleet.freeze("worker-1")
    until(lambda: losses.count_documents({"losses": {"$gt": 0}}) > 0, "a lease to run out", 5 * LEASE_S)
    until(lambda: losses.count_documents({"losses": {"$gt": 0}, "state": {"$ne": "queued"}}) > 0, "others")
    fleet.thaw("worker-1")

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_a_sweeper_that_leads_is_frozen(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    fleet.under_way()
    with fleet.fault("the leading sweeper frozen, a worker killed"):
        for name in fleet.sweepers:
            until(fleet.services.control.somebody_sweeps, "a sweeper to lead")
            fleet.freeze(name)
            fleet.kill("worker-1")
            fleet.thaw(name)

    fleet.settle()
    fleet.check()


def test_a_job_that_kills_its_worker_each_time(fleet: Fleet) -> None:
    poison = fleet.submit(LeaveMarks(trouble="die", times=99), ends=("failed",))[0]
    neighbours = [record for org_id in fleet.org_ids for record in fleet.submit(WORK, 8, org_id=org_id)]
    with fleet.fault("a job that kills its worker each time, beside others"):
        fleet.settle()

    ended = {record.id: record for record in fleet.records()}
    assert ended[poison.id].error is not None
    assert ended[poison.id].error["code"] == "worker-lost"
    assert {(ended[one.id].losses, ended[one.id].attempt) for one in neighbours} == {(0, 0)}
    fleet.check()


@pytest.mark.slow
def test_a_handler_that_spins_in_c_past_its_lease(fleet: Fleet) -> None:
    fleet.submit(LeaveMarks(steps=2, trouble="spin", spin_s=3 * LEASE_S))
    fleet.submit(WORK, 20)
    with fleet.fault("a handler that spins in C code past its lease"):
        fleet.settle()

    assert {(record.losses, record.claims) for record in fleet.records()} == {(0, 1)}
    fleet.check()


@pytest.mark.slow
def test_a_handler_over_its_limits(fleet: Fleet) -> None:
    polite = fleet.submit(BeSlow(seconds=30), ends=("failed",))[0]
    deaf = fleet.submit(BeSlow(seconds=30, deaf=True), ends=("failed",))[0]
    with fleet.fault("handlers over their soft and their hard limit"):
        fleet.settle()

    ended = {record.id: record.error for record in fleet.records()}
    assert [ended[one.id]["code"] for one in (polite, deaf)] == ["time-limit", "worker-lost"]
    fleet.check()
