"""Workers are stopped and rolled under load: nothing is lost, nothing repeated, and nobody charged."""

import pytest
from common.probe.leave_marks import LeaveMarks

from tests.faults.fleet import WORK, Fleet, until

LONG = LeaveMarks(steps=100, pause_s=0.1)


def nobody_is_charged(fleet: Fleet) -> bool:
    return {(record.losses, record.attempt) for record in fleet.records()} == {(0, 0)}


def test_sigterm_under_load(fleet: Fleet) -> None:
    fleet.submit(LONG, 2)
    fleet.submit(WORK, 40)
    for name in fleet.workers:
        fleet.under_way()
        before = fleet.supervisor.restarts_of(name)
        with fleet.fault("SIGTERM under load"):
            fleet.terminate(name)
            fleet.await_restart(name, before)

    fleet.settle()
    assert nobody_is_charged(fleet)
    fleet.check()


@pytest.mark.slow
def test_sigterm_then_sigkill_after_a_short_grace(fleet: Fleet) -> None:
    fleet.submit(LeaveMarks(steps=3, pause_s=2.0), 4)  # no checkpoint comes within the grace
    fleet.submit(WORK, 40)
    until(lambda: fleet.checker.running() >= 4, "every slot at work", report=fleet.report)
    with fleet.fault("SIGTERM, then SIGKILL before the grace is over"):
        fleet.terminate("worker-1")
        fleet.under_way(3)
        fleet.kill("worker-1")

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_a_handler_that_never_checkpoints_is_given_back(fleet: Fleet) -> None:
    fleet.submit(LeaveMarks(steps=2, pause_s=8.0), 4)
    until(lambda: fleet.checker.running() >= 4, "every slot at work", report=fleet.report)
    before = fleet.supervisor.restarts_of("worker-1")
    with fleet.fault("SIGTERM while no handler reaches a checkpoint"):
        fleet.terminate("worker-1")
        fleet.await_restart("worker-1", before)

    fleet.settle(90)
    assert nobody_is_charged(fleet)
    fleet.check()


@pytest.mark.slow
def test_ten_rolling_restarts(fleet: Fleet) -> None:
    for number in range(10):
        fleet.submit(WORK, 15)
        name = fleet.workers[number % 2]
        before = fleet.supervisor.restarts_of(name)
        fleet.under_way(4)
        with fleet.fault("ten rolling restarts"):
            fleet.terminate(name)
            fleet.await_restart(name, before)

    fleet.settle()
    assert nobody_is_charged(fleet)
    fleet.check()


@pytest.mark.slow
def test_ten_rolling_kills(fleet: Fleet) -> None:
    for number in range(10):
        fleet.submit(WORK, 15)
        name = fleet.workers[number % 2]
        before = fleet.supervisor.restarts_of(name)
        fleet.under_way(4)
        with fleet.fault("ten rolling kills"):
            fleet.kill(name)
        fleet.await_restart(name, before)

    fleet.settle()
    fleet.check()
