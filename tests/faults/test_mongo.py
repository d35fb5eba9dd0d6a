"""MongoDB dies, freezes and can't be reached: what it acknowledged stays, and everything goes on from there."""

import time

import pytest
from common.probe.leave_marks import LeaveMarks

from tests.faults.fleet import LEASE_S, Fleet, until

WORK = LeaveMarks(steps=4, pause_s=0.05)
LATER = LeaveMarks(steps=4, trouble="defer", defer_s=1.0, times=2)


def load(fleet: Fleet) -> None:
    """Submit work that waits, runs and defers, and return when it is under way."""
    fleet.submit(WORK, 30)
    fleet.submit(LATER, 10)
    fleet.under_way()


def pass_by(fleet: Fleet, seconds: float) -> None:
    """Let *seconds* pass while the fault lasts."""
    ends_at = time.monotonic() + seconds
    until(lambda: time.monotonic() > ends_at, "time to pass", seconds + 1, fleet.report)


def test_killed_and_restarted(fleet: Fleet) -> None:
    load(fleet)
    with fleet.fault("mongod killed and restarted"):
        fleet.mongo.kill()
        fleet.mongo.start()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_killed_five_times(fleet: Fleet) -> None:
    for _ in range(5):
        load(fleet)
        with fleet.fault("mongod killed five times under load"):
            fleet.mongo.kill()
            fleet.mongo.start()

    fleet.settle(120)
    fleet.check()


@pytest.mark.slow
def test_frozen_for_longer_than_a_lease(fleet: Fleet) -> None:
    load(fleet)
    with fleet.fault("mongod frozen past every lease"):
        fleet.mongo.freeze()
        pass_by(fleet, 3 * LEASE_S)
        fleet.mongo.thaw()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_half_open_connections(fleet: Fleet) -> None:
    load(fleet)
    with fleet.fault("half-open connections to MongoDB"):
        fleet.to_mongo.cut()
        pass_by(fleet, 3 * LEASE_S)
        fleet.to_mongo.mend()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_reset_connections(fleet: Fleet) -> None:
    load(fleet)
    for _ in range(5):
        with fleet.fault("every connection to MongoDB reset"):
            fleet.to_mongo.reset()
        fleet.under_way(2)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_a_slow_network(fleet: Fleet) -> None:
    with fleet.fault("0.1 s of delay to MongoDB, each way"):
        fleet.to_mongo.delay_s = 0.1
        fleet.submit(WORK, 10)
        fleet.settle(120)
    fleet.to_mongo.delay_s = 0.0

    fleet.check()
