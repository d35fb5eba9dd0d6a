"""Parents and children under kills: every child is counted once, and the parent closes once."""

import itertools

import pytest
from common.probe.have_children import HaveChildren

from tests.faults.fleet import Fleet


def check_families(fleet: Fleet, count: int) -> None:
    """Check that each child was made once and counted once, and that each parent closed once."""
    control = fleet.checker.control
    for parent in fleet.records():
        assert parent.result == {"succeeded": count, "failed": 0, "cancelled": 0}
        assert parent.open_children == 0
        assert control.jobs.count_documents({"parent_id": parent.id}) == count
        assert control.closings.count_documents({"_id": {"$regex": f"^{parent.id}:"}}) == count
    assert fleet.witness.count("mark closing") == len(fleet.accepted)


def test_two_parents_whose_workers_and_redis_are_killed(fleet: Fleet) -> None:
    fleet.submit(HaveChildren(count=60, batches=3, pause_s=0.02), 2)
    for name in fleet.workers:
        fleet.under_way(20)
        with fleet.fault("parents of 60 children: workers killed, Redis flushed"):
            fleet.kill(name)
            fleet.flush()

    fleet.settle()
    check_families(fleet, 60)
    fleet.check()


@pytest.mark.slow
def test_a_parent_of_a_thousand_children_closes_once_under_kills(fleet: Fleet) -> None:
    fleet.submit(HaveChildren(count=1_000, batches=4, pause_s=0.01))
    names = itertools.cycle([*fleet.workers, *fleet.sweepers])
    for name in itertools.islice(names, 12):
        fleet.under_way(70)
        with fleet.fault("1,000 children, 12 kills of workers and sweepers"):
            fleet.kill(name)

    fleet.settle(180)
    check_families(fleet, 1_000)
    fleet.check()


@pytest.mark.slow
def test_a_cancelled_family_ends_under_kills(fleet: Fleet) -> None:
    parents = fleet.submit(HaveChildren(count=6, depth=2, pause_s=0.05), 3, ends=("cancelled", "succeeded"))
    fleet.under_way(5)
    with fleet.fault("families of 259 cancelled while workers and sweepers are killed"):
        for parent, name in zip(parents, ("worker-1", "sweeper-1", "sweeper-2"), strict=True):
            fleet.kill(name)
            fleet.services.submitter.cancel(parent.org_id, parent.id)

    fleet.settle()
    fleet.settle_all()
    fleet.check()
