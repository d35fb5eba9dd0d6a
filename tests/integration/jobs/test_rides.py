"""Short jobs ride together: each keeps its lease, end, cancel and place; who runs long gives the others back."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from common.probe.be_quick import BeQuick, BeSlow
from common.probe.leave_marks import LeaveMarks

from common.caller import Caller
from common.ids import new_id
from common.jobs.leases import Claimed
from common.jobs.members import Member
from common.jobs.record import JobRecord
from common.services import Services
from tests.integration.conftest import Asked, caller_of, make_organization
from workers import carrier
from workers.carrier import Place
from workers.clerk import Clerk
from workers.events import JobEvents
from workers.holding import Holding
from workers.parent import Child
from workers.slots import Slot as Letters
from workers.slots import Slots

QUEUE = "tickets"


class Worker:
    """One child of a worker with its carrier, in this process: the real parts, without Celery."""

    def __init__(self, services: Services, letters: Letters) -> None:
        self.services = services
        self.letters = letters
        self.asked = Asked()
        self.cancelled: set[str] = set()
        self.is_closing = False
        events = JobEvents(None, "test-worker", services.broker)
        self.holding = Holding(letters)
        self.clerk = Clerk(services.jobs, services.lanes, events, services.clock, self.holding.remove)
        self.clerk.start()
        self.place = Place(
            services=services,
            worker="test-worker",
            queue=QUEUE,
            clerk=self.clerk,
            events=events,
            holding=self.holding,
            is_closing=lambda: self.is_closing,
            signals_for=self._signals,
        )

    def work(self) -> int:
        """Work until the lanes are empty; return how many jobs were begun."""
        count = carrier.work(self.place, "1-1")
        self.clerk.finish()
        return count

    def _signals(self, claimed: Claimed) -> Asked:
        return Asked(cancel=claimed.job_id in self.cancelled)


@pytest.fixture
def worker(services: Services) -> Iterator[Worker]:
    object.__setattr__(services.settings, "linger_s", 0.05)
    slots = Slots()
    made = Worker(services, slots[0])
    yield made
    made.is_closing = True


@pytest.fixture
def rides(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many jobs each turn took."""
    found: list[int] = []
    take = worker.services.lanes.take

    def noted(*arguments: Any, **options: Any) -> list[Member]:
        members = take(*arguments, **options)
        if members:
            found.append(len(members))
        return members

    monkeypatch.setattr(worker.services.lanes, "take", noted)
    return found


def submit(services: Services, caller: Caller, count: int, job: Any = None) -> list[JobRecord]:
    return [services.submit(caller, job or BeQuick()) for _ in range(count)]


def until(reached: Callable[[], Any], what: str, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        time.sleep(0.01)


def states(services: Services, jobs: list[JobRecord]) -> list[str]:
    return [services.jobs.get(job.org_id, job.id).state for job in jobs]


def measured(services: Services, kind: str, cost_ms: float) -> None:
    """Let *kind* be known to run so long."""
    services.broker.hset(f"fairway:lane:{QUEUE}:cost", kind, cost_ms)


def test_a_kind_that_nobody_measured_rides_alone_and_then_together(
    services: Services, caller: Caller, worker: Worker, rides: list[int]
) -> None:
    jobs = submit(services, caller, 20)

    assert worker.work() == 20

    assert rides[0] == 1
    assert max(rides) > 1
    assert set(states(services, jobs)) == {"succeeded"}
    assert services.lanes.waiting(caller.org_id, [QUEUE]) == (0, 0)


@pytest.mark.parametrize(("cost_ms", "together"), [(30, 1), (20, 1), (10, 2), (4, 5)])
def test_a_ride_is_as_long_as_its_budget(
    services: Services, caller: Caller, cost_ms: float, together: int
) -> None:
    measured(services, BeQuick.name, cost_ms)
    submit(services, caller, 8)

    taken = services.lanes.take(QUEUE, "1-1", linger_s=0, hold_s=30, budget_ms=20)

    assert len(taken) == together


def test_riders_come_in_the_fair_order_of_their_organizations(services: Services, caller: Caller) -> None:
    measured(services, BeQuick.name, 1)
    callers = [caller, *(caller_of(make_organization(services, name)) for name in "bc")]
    for one in callers:
        submit(services, one, 2)

    taken = services.lanes.take(QUEUE, "1-1", linger_s=0, hold_s=30, budget_ms=20)

    whose = [[one.org_id for one in callers].index(member.org_id) for member in taken]
    assert sorted(whose[:3]) == sorted(whose[3:]) == [0, 1, 2]


def test_one_that_had_a_loss_rides_alone(
    services: Services, caller: Caller, worker: Worker, rides: list[int]
) -> None:
    measured(services, BeQuick.name, 0.1)
    jobs = submit(services, caller, 6)
    (unlucky,) = (one.entry for one in jobs[2:3])
    services.lanes.forget(QUEUE, [unlucky.member])
    services.control.jobs.update_one({"_id": unlucky.member.job_id}, {"$set": {"losses": 1}})
    services.lanes.admit_all([services.jobs.get(caller.org_id, unlucky.member.job_id).entry])

    assert worker.work() == 6

    assert rides == [2, 1, 3]
    assert set(states(services, jobs)) == {"succeeded"}


def test_each_rider_has_a_lease_of_its_own(services: Services, caller: Caller) -> None:
    jobs = submit(services, caller, 5)
    members = [job.entry.member for job in jobs]
    stolen = services.jobs.claim(members[2], "another")
    assert stolen is not None
    services.submitter.cancel(caller.org_id, jobs[4].id)

    claimed = services.jobs.claim_all(members, "test-worker")

    assert [one.job_id for one in claimed] == [jobs[0].id, jobs[1].id, jobs[3].id]
    assert len({one.token for one in claimed}) == 3
    assert services.jobs.claim_all(members, "a third") == []
    assert [services.jobs.succeed(one, None) for one in claimed] == [True] * 3


def test_a_member_that_names_another_organization_claims_nothing(services: Services, caller: Caller) -> None:
    (mine, theirs) = (submit(services, one, 1)[0] for one in (caller, caller_of(make_organization(services, "B"))))
    forged = Member(mine.org_id, theirs.id, theirs.kind)

    claimed = services.jobs.claim_all([mine.entry.member, forged], "test-worker")

    assert [one.job_id for one in claimed] == [mine.id]
    assert services.jobs.get(theirs.org_id, theirs.id).state == "queued"
    assert services.jobs.claim_all([forged, forged], "test-worker") == []


def test_many_ends_in_one_update_each_with_its_own_result(services: Services, caller: Caller) -> None:
    jobs = submit(services, caller, 6)
    claimed = services.jobs.claim_all([job.entry.member for job in jobs], "test-worker")
    services.jobs.give_back(claimed[3])
    results = ["$1.50 off", {"$ne": 1}, "$$ROOT", None, {"a": ["$state", {"$literal": 1}]}, 7]

    written = services.jobs.succeed_many(list(zip(claimed, results, strict=True)))

    assert written == {one.token for one in claimed} - {claimed[3].token}
    ended = [services.jobs.get(caller.org_id, job.id) for job in jobs]
    assert [one.result for one in ended if one.state == "succeeded"] == [results[n] for n in (0, 1, 2, 4, 5)]
    assert ended[3].state == "queued"


def test_a_rider_cancelled_on_the_way_is_not_begun(services: Services, caller: Caller, worker: Worker) -> None:
    measured(services, BeQuick.name, 0.1)
    jobs = submit(services, caller, 5)
    worker.cancelled = {jobs[3].id}

    assert worker.work() == 5

    assert states(services, jobs) == ["succeeded"] * 3 + ["cancelled", "succeeded"]


def test_one_that_fails_or_waits_leaves_the_others_alone(
    services: Services, caller: Caller, worker: Worker
) -> None:
    for kind in (BeQuick.name, LeaveMarks.name):
        measured(services, kind, 0.1)
    first = submit(services, caller, 1)
    bad = submit(services, caller, 1, LeaveMarks(trouble="fail"))
    waits = submit(services, caller, 1, LeaveMarks(trouble="defer", defer_s=60))
    last = submit(services, caller, 1)

    worker.work()

    assert states(services, first + bad + waits + last) == ["succeeded", "failed", "waiting", "succeeded"]
    assert services.lanes.waiting(caller.org_id, [QUEUE]) == (1, 0)


def test_a_rider_that_runs_long_gives_the_rest_back_at_once(
    services: Services, caller: Caller, worker: Worker, rides: list[int]
) -> None:
    for kind in (BeQuick.name, BeSlow.name):
        measured(services, kind, 0.1)
    (slow,) = submit(services, caller, 1, BeSlow(seconds=1.5, deaf=True))
    others = submit(services, caller, 5)
    thread = threading.Thread(target=worker.work)
    thread.start()

    until(lambda: rides, "the ride to begin")
    until(lambda: services.lanes.look(QUEUE).waiting == 5, "the rest to be given back")
    assert services.jobs.get(caller.org_id, slow.id).state == "running"
    assert set(states(services, others)) == {"queued"}
    assert {services.jobs.get(caller.org_id, one.id).attempt for one in others} == {0}

    thread.join(20)
    assert set(states(services, [slow, *others])) == {"succeeded"}


def test_a_closing_worker_gives_back_the_riders_that_it_has_not_begun(
    services: Services, caller: Caller, worker: Worker
) -> None:
    jobs = submit(services, caller, 4)
    claimed = services.jobs.claim_all([job.entry.member for job in jobs], "test-worker")
    services.lanes.take(QUEUE, "1-1", linger_s=0, hold_s=30, budget_ms=1_000)
    worker.is_closing = True

    assert carrier._ride(worker.place, claimed) == 0
    worker.clerk.finish()

    assert states(services, jobs) == ["queued"] * 4
    assert services.lanes.look(QUEUE).waiting == 4
    assert services.lanes.waiting(caller.org_id, [QUEUE]) == (4, 0)


def test_the_parent_blames_only_the_rider_whose_handler_runs(
    services: Services, caller: Caller, worker: Worker
) -> None:
    jobs = submit(services, caller, 3)
    claimed = services.jobs.claim_all([job.entry.member for job in jobs], "test-worker")
    child = Child(0, worker.letters)

    worker.holding.add(claimed)
    child.look()
    assert [child.runs(lease) for lease in child.leases] == [False] * 3
    worker.holding.begin(claimed[1])
    child.look()
    assert [child.runs(lease) for lease in child.leases] == [False, True, False]
    worker.holding.pause()
    child.look()
    assert [child.runs(lease) for lease in child.leases] == [False] * 3
    worker.holding.remove(claimed)
    child.look()
    assert child.leases == []


def test_a_full_ride_fits_into_the_letter_to_the_parent(
    services: Services, caller: Caller, worker: Worker
) -> None:
    (job,) = submit(services, caller, 1)
    claimed = services.jobs.claim(job.entry.member, "test-worker")
    assert claimed is not None
    worker.holding.add([replace(claimed, token=f"{new_id()}.{new_id()}", kind="k" * 60) for _ in range(3 * 64)])

    assert len(worker.letters.held.read()["leases"]) == 192
