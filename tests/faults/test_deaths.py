"""Things are killed while jobs run: every accepted job ends, and every effect happens once."""

import os
import subprocess
import sys

import pytest
from common.probe.be_quick import BeQuick, BeSlow
from common.probe.leave_marks import LeaveMarks

from tests.faults.conftest import LEASE_S, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Fleet, until

pytestmark = pytest.mark.fault
STEPS = 4
WORK = LeaveMarks(steps=STEPS, pause_s=0.05)


def test_kill_9_of_a_child_loses_and_repeats_nothing(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    for _ in range(3):
        before = fleet.marks()
        os.kill(fleet.child_at_work("worker-1"), SIGKILL)
        until(lambda before=before: fleet.marks() > before, "work that goes on", report=fleet.report)

    fleet.settle()

    fleet.check(steps=STEPS)


def test_a_job_that_kills_its_worker_each_time_ends_as_failed_and_its_neighbours_succeed(fleet: Fleet) -> None:
    poison = fleet.submit(LeaveMarks(trouble="die", times=99))[0]
    neighbours = fleet.submit(WORK, 20)

    fleet.settle()

    ended = {record.id: record for record in fleet.records()}
    assert (ended[poison.id].state, ended[poison.id].error["code"]) == ("failed", "worker-lost")
    assert {ended[one.id].state for one in neighbours} == {"succeeded"}
    assert {ended[one.id].losses for one in neighbours} == {0}


def test_kill_9_of_a_whole_worker_loses_and_repeats_nothing(fleet: Fleet) -> None:
    fleet.submit(WORK, 60)
    for name in ("worker-1", "worker-2"):
        before = fleet.marks()
        until(lambda before=before: fleet.marks() > before + 8, "work under way", report=fleet.report)
        fleet.supervisor.kill(name)

    fleet.settle()

    fleet.check(steps=STEPS)


def test_kill_9_of_all_workers_at_once_loses_and_repeats_nothing(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    until(lambda: fleet.marks() > 10, "work under way", report=fleet.report)
    for name in ("worker-1", "worker-2", "sweeper-1", "sweeper-2"):
        fleet.supervisor.kill(name)

    fleet.settle()

    fleet.check(steps=STEPS)


def test_redis_killed_without_persistence_loses_and_repeats_nothing(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    until(lambda: fleet.marks() > 10, "work under way", report=fleet.report)

    fleet.redis.kill()
    fleet.submit(WORK, 5)  # a 202 stands without Redis
    fleet.redis.start()

    fleet.settle()
    fleet.check(steps=STEPS)


def test_mongod_killed_and_restarted_loses_and_repeats_nothing(fleet: Fleet) -> None:
    fleet.submit(WORK, 40)
    until(lambda: fleet.marks() > 10, "work under way", report=fleet.report)

    fleet.mongo.kill()
    fleet.mongo.start()

    fleet.settle()
    fleet.check(steps=STEPS)


def test_an_api_killed_between_its_two_writes_has_accepted_the_job(fleet: Fleet) -> None:
    script = """
import os, signal, sys
from common.config import Settings
from common.services import Services
from common.ids import OrgId
from tests.integration.conftest import caller_of
from common.probe.leave_marks import LeaveMarks
made = Services(Settings(mongo_url=sys.argv[1], broker_url=sys.argv[2]))
made.lanes.admit_soon = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
made.submit(caller_of(OrgId(sys.argv[3])), LeaveMarks(steps=4, pause_s=0.05))
"""
    arguments = (fleet.mongo.url, fleet.redis.url(0), fleet.org_id)
    path = os.pathsep.join([".", "tests/kinds"])

    died = subprocess.run(
        [sys.executable, "-c", script, *arguments], env={**os.environ, "PYTHONPATH": path}, check=False, timeout=60
    )

    assert died.returncode == -SIGKILL
    fleet.accepted += fleet.services.jobs.page(fleet.org_id, limit=10)
    assert len(fleet.accepted) == 1
    fleet.settle()
    fleet.check(steps=STEPS)


def test_a_worker_frozen_past_its_lease_can_not_write_afterwards(fleet: Fleet) -> None:
    fleet.submit(LeaveMarks(steps=STEPS, pause_s=0.4), 8)
    until(lambda: fleet.marks() > 4, "work under way", report=fleet.report)

    fleet.supervisor.kill("worker-1", SIGSTOP)
    lost = fleet.services.control.jobs
    until(
        lambda: lost.count_documents({"losses": {"$gt": 0}}) > 0, "leases that ran out", 10 * LEASE_S, fleet.report
    )
    until(lambda: lost.count_documents({"state": "succeeded"}) > 5, "others to take over", report=fleet.report)
    fleet.supervisor.kill("worker-1", SIGCONT)

    fleet.settle()
    fleet.check(steps=STEPS)


def test_a_rolled_fleet_loses_no_job_and_charges_none(fleet: Fleet) -> None:
    fleet.submit(LeaveMarks(steps=STEPS, pause_s=0.1), 40)
    for name in ("worker-1", "worker-2"):
        before = fleet.supervisor.restarts_of(name)
        until(lambda: fleet.marks() > 4, "work under way", report=fleet.report)
        parent = fleet.supervisor.pid_of(name)
        assert parent is not None
        os.kill(parent, SIGTERM)
        until(
            lambda name=name, before=before: fleet.supervisor.restarts_of(name) > before,
            "a restart",
            30,
            fleet.report,
        )

    fleet.settle()

    fleet.check(steps=STEPS)
    assert {(record.losses, record.attempt) for record in fleet.records()} == {(0, 0)}


def test_a_handler_over_its_soft_limit_is_interrupted_and_one_over_its_hard_limit_killed(fleet: Fleet) -> None:
    polite = fleet.submit(BeSlow(seconds=30))[0]
    deaf = fleet.submit(BeSlow(seconds=30, deaf=True))[0]

    fleet.settle()

    ended = {record.id: record for record in fleet.records()}
    assert ended[polite.id].error["code"] == "time-limit"
    assert ended[deaf.id].error["code"] == "worker-lost"


def test_a_message_that_is_no_carrier_stops_nobody(fleet: Fleet) -> None:
    queue = "fairway.tickets"
    for message in (b"", b"not json", b"[" * 100_000, b"\xff\xfe", b"7", b"{}", b'{"headers": {"task": "x"}}'):
        fleet.services.broker.lpush(queue, message)

    fleet.submit(BeQuick(), 10)
    fleet.settle()

    until(lambda: fleet.services.broker.llen("fairway:quarantine") == 7, "the quarantine", 20, fleet.report)
    assert {record.state for record in fleet.records()} == {"succeeded"}
    assert fleet.supervisor.restarts_of("worker-1") == fleet.supervisor.restarts_of("worker-2") == 0
