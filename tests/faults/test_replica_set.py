"""A replica set of three under load: its primary dies, steps down, and is cut off while it still takes writes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.probe.be_quick import BeQuick
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from common.ids import JobId, new_id
from tests.faults.fleet import WORK, Fleet, until
from tests.faults.replica_set import ELECTION_TIMEOUT_MS, Node, ReplicaSet, wait_for

pytestmark = pytest.mark.slow
ANSWERED_WITHIN_S = 8.0


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[ReplicaSet]:
    """Run three members."""
    made = ReplicaSet(tmp_path / "set")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def fleet(nodes: ReplicaSet) -> Iterator[Fleet]:
    """Run the fleet on the set."""
    made = Fleet(mongo_url=nodes.url)
    try:
        yield made.start()
    finally:
        made.close()


def test_its_primary_is_killed(fleet: Fleet, nodes: ReplicaSet) -> None:
    fleet.submit(WORK, 60)
    fleet.under_way()
    with fleet.fault("primary of three killed"):
        old = nodes.primary()
        old.kill()
        nodes.primary(other_than=old)

    fleet.settle()
    old.start()
    fleet.check()


def test_its_primary_steps_down(fleet: Fleet, nodes: ReplicaSet) -> None:
    fleet.submit(WORK, 60)
    for _ in range(3):
        fleet.under_way()
        with fleet.fault("primary of three stepped down"):
            nodes.step_down()

    fleet.settle()
    fleet.check()


def test_its_primary_is_cut_off_while_it_still_takes_writes(fleet: Fleet, nodes: ReplicaSet) -> None:
    """Claims are acknowledged by the primary alone: what it took without the others is rolled back."""
    old, others = nodes.primary(), nodes.secondaries()
    for name in fleet.workers:
        fleet.freeze(name)
    for _ in range(20):
        fleet.submit(WORK, 1)
        fleet.submit(BeQuick(), 30)  # they write nothing to confirm a claim for, so that claims go on
    for name in fleet.workers:
        fleet.thaw(name)
    fleet.under_way(4)
    with fleet.fault("primary of three cut off while it took writes"):
        wait_for(lambda: takes_claims_alone(fleet, others), "claims that only the primary has")
        old.freeze()
        for node in others:
            node.thaw()
        nodes.primary(other_than=old)
        old.thaw()
        wait_for(lambda: bool(old.hello().get("secondary")), "the old primary to follow")

    fleet.settle()
    assert old.rolled_back(), "nothing was rolled back: the fault was not what it says"
    fleet.check()


def takes_claims_alone(fleet: Fleet, others: list[Node]) -> bool:
    """Freeze *others*; tell whether the primary takes claims meanwhile. If it does not, nothing is left frozen."""
    for node in others:
        node.freeze()
    ends_at = time.monotonic() + ELECTION_TIMEOUT_MS / 2_000
    known, times = set[tuple[str, int]](), 0
    while time.monotonic() < ends_at:
        new = claims_of_the_primary_alone(fleet) - known
        known |= new
        times += bool(new)
        # The first may have been on their way, and the next in an answer that a frozen node will read.
        if times == 3:
            return True
    for node in others:
        node.thaw()
    return False


def claims_of_the_primary_alone(fleet: Fleet) -> set[tuple[str, int]]:
    """Name the claims that the primary has and a majority has not."""
    jobs = fleet.checker.control.jobs
    local = jobs.with_options(read_concern=ReadConcern("local"))
    running, fields = {"state": "running"}, {"claims": 1}
    try:
        here, there = (
            {(one["_id"], one["claims"]) for one in view.find(running, fields, max_time_ms=500)}
            for view in (local, jobs)
        )
    except PyMongoError:
        return set()
    return here - there


def test_without_a_primary_a_submission_fails_soon_and_is_wholly_there_or_not_at_all(
    fleet: Fleet, nodes: ReplicaSet
) -> None:
    tried = [JobId(new_id()) for _ in range(6)]
    with fleet.fault("no primary of three"):
        stopped = nodes.secondaries()
        for node in stopped:
            node.kill()
        for job_id in tried:
            started = time.monotonic()
            with pytest.raises(PyMongoError):
                fleet.submit(WORK, job_id=job_id)
            assert time.monotonic() - started < ANSWERED_WITHIN_S
        for node in stopped:
            node.start()
        nodes.primary()
    until(fleet.checker.answers, "the set", 60)
    there = fleet.checker.records_of(tried)
    for record in there:
        fleet.expect(record, WORK)
    fleet.submit(WORK, 5)

    fleet.settle()
    fleet.check()
