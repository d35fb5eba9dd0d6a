"""Random schedules of all faults, minutes long. The seed is printed; the same seed draws the same schedule.

`FAULT_SEEDS` names other seeds (numbers, commas between), `FAULT_SECONDS` another length.
"""

import os
import threading
import time

import pytest

from tests.faults.checker import Row
from tests.faults.fleet import Fleet, until
from tests.faults.schedule import Run, carry_out_all, plan

SEEDS = [int(seed) for seed in os.environ.get("FAULT_SEEDS", "1,2,3,4,5,6,7,8,9,10").split(",")]
SECONDS = float(os.environ.get("FAULT_SECONDS", "120"))
QUICK_S = 15.0


def test_the_same_seed_draws_the_same_schedule() -> None:
    assert plan(3, 60) == plan(3, 60)
    assert plan(3, 60) != plan(4, 60)


@pytest.mark.parametrize("seed", [0])
def test_a_short_random_schedule(fleet: Fleet, seed: int) -> None:
    assert endure(fleet, seed, QUICK_S).lost == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_schedule(fleet: Fleet, seed: int) -> None:
    assert endure(fleet, seed, SECONDS).lost == 0


def endure(fleet: Fleet, seed: int, seconds: float) -> Row:
    """Let the schedule of *seed* happen, mend everything, check that all ended as it may; return its row."""
    drawn, run, started = plan(seed, seconds), Run(fleet), time.monotonic()
    fleet.report_first(lambda: f"seed {seed}, {seconds:g} s\n" + "\n".join(run.log))
    clients = threading.Thread(target=carry_out_all, args=(run, drawn.work, started), name="clients")
    count = sum(event.what.startswith("FAULT") for event in drawn.faults)
    with fleet.fault(f"seed {seed}: {count} faults at random in {seconds:g} s"):
        clients.start()
        carry_out_all(run, drawn.faults, started)
        run.mend()
    clients.join()
    until(fleet.checker.answers, "the servers", report=fleet.report)
    run.count_unsure()

    fleet.settle(180)
    fleet.settle_all(60)
    fleet.expect_children()
    return fleet.check()
