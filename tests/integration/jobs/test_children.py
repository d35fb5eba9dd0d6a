"""Parents and children: made once, counted once, and the parent goes on exactly once."""

from collections.abc import Callable

import pytest
from common.probe.be_quick import BeQuick
from common.probe.have_children import HaveChildren

from common.caller import Caller
from common.errors import CancelRequested, Conflict, JobFailed, LeaseLost
from common.ids import JobId
from common.jobs.record import JobRecord
from common.jobs.sweep import Sweep
from common.services import Services
from tests.integration.conftest import Asked, Slot
from workers.context import Context

JobOf = Callable[[JobId], JobRecord]


def finish_all(slot: Slot) -> list[JobRecord]:
    done = []
    while (record := slot.step()) is not None:
        done.append(record)
    return done


def test_a_parent_waits_for_its_children_and_goes_on_when_the_last_has_ended(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    parent = services.submit(caller, HaveChildren(count=3))

    assert slot.step().state == "waiting"
    assert job_of(parent.id).waiting_for == {"reason": "children", "until": None}
    assert job_of(parent.id).open_children == 3
    children = list(services.jobs.children.all_of(caller.org_id, parent.id))
    assert {(one.parent_id, one.state, one.submitted_by) for one in children} == {
        (parent.id, "queued", parent.submitted_by)
    }
    slot.step()
    slot.step()
    assert (job_of(parent.id).state, job_of(parent.id).open_children) == ("waiting", 1)
    slot.step()
    assert (job_of(parent.id).state, job_of(parent.id).waiting_for) == ("queued", None)

    finish_all(slot)

    ended = job_of(parent.id)
    assert (ended.state, ended.result) == ("succeeded", {"succeeded": 3, "failed": 0, "cancelled": 0})
    assert (ended.attempt, ended.losses) == (0, 0)


def test_children_that_fail_are_counted_too(services: Services, caller: Caller, slot: Slot, job_of: JobOf) -> None:
    parent = services.submit(caller, HaveChildren(count=4, failing=2))

    finish_all(slot)

    assert job_of(parent.id).result == {"succeeded": 2, "failed": 2, "cancelled": 0}


def test_grandchildren_end_before_their_grandparent(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    parent = services.submit(caller, HaveChildren(count=2, depth=2))

    done = finish_all(slot)

    assert job_of(parent.id).state == "succeeded"
    assert done[-1].id == parent.id
    assert services.control.jobs.count_documents({"state": "succeeded"}) == 1 + 2 + 4 + 8


def claimed_parent(services: Services, caller: Caller, slot: Slot, count: int = 3) -> Context:
    services.submit(caller, HaveChildren(count=count))
    claimed = slot.claim(slot.take())
    assert claimed is not None
    ctx = Context(services, claimed)
    ctx.resume()
    return ctx


def test_a_step_makes_its_children_once_however_often_it_is_repeated(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    ctx = claimed_parent(services, caller, slot)

    for _ in range(3):
        ctx.spawn("one", [BeQuick(), BeQuick()])
    ctx.spawn("two", [BeQuick()])

    assert job_of(ctx.job_id).open_children == len(list(ctx.children())) == 3


def test_who_lost_the_lease_makes_no_children(services: Services, caller: Caller, slot: Slot) -> None:
    ctx = claimed_parent(services, caller, slot)
    services.jobs.give_back(ctx.claimed)

    with pytest.raises(LeaseLost):
        ctx.spawn("one", [BeQuick()])

    assert list(ctx.children()) == []


def test_more_children_or_steps_than_are_allowed_are_refused(
    services: Services, caller: Caller, slot: Slot
) -> None:
    ctx = claimed_parent(services, caller, slot)

    with pytest.raises(ValueError, match="1000"):
        ctx.spawn("many", [BeQuick()] * 1001)
    for number in range(100):
        ctx.spawn(f"step {number}", [BeQuick()])
    with pytest.raises(JobFailed):
        ctx.spawn("one more", [BeQuick()])


def test_children_that_end_before_the_parent_waits_do_not_leave_it_waiting(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    ctx = claimed_parent(services, caller, slot)
    ctx.spawn("one", [BeQuick()])
    slot.step()

    assert services.jobs.wait_for_children(ctx.claimed) == "queued"
    assert job_of(ctx.job_id).waiting_for is None


def test_a_child_that_lost_its_lease_is_not_counted(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    ctx = claimed_parent(services, caller, slot)
    ctx.spawn("one", [BeQuick()])
    first = slot.claim(slot.take())
    assert first is not None
    services.jobs.give_back(first)
    services.lanes.back_soon("tickets", [first.entry])
    second = slot.claim(slot.take())
    assert second is not None

    assert not services.jobs.succeed(first, None)
    assert services.jobs.succeed_many([(first, None), (second, None)]) == {second.token}
    assert not services.jobs.succeed(second, None)

    assert job_of(ctx.job_id).open_children == 0


def test_cancelling_a_parent_cancels_its_children_and_theirs(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    parent = services.submit(caller, HaveChildren(count=3, depth=1))
    slot.step()
    slot.step()  # one of the children waits for children of its own

    services.submitter.cancel(caller.org_id, parent.id)
    sweep(services).once()

    assert services.control.jobs.distinct("state") == ["cancelled"]
    assert job_of(parent.id).open_children == 0
    assert services.control.jobs.count_documents({"cancelling_children": True}) == 0
    assert slot.step() is None


def test_a_running_child_is_asked_to_stop_and_a_running_parent_makes_no_more(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    ctx = claimed_parent(services, caller, slot)
    ctx.spawn("one", [BeQuick(), BeQuick()])
    running = slot.claim(slot.take())
    assert running is not None

    services.submitter.cancel(caller.org_id, ctx.job_id)

    assert job_of(running.job_id).cancel_requested
    with pytest.raises(CancelRequested):
        ctx.spawn("two", [BeQuick()])
    assert slot.run(running, Asked(cancel=True)).ending in {"succeeded", "cancelled"}
    assert services.jobs.finish_cancelled(running)
    assert job_of(ctx.job_id).open_children == 0


def test_a_cancel_whose_process_died_is_finished_by_the_sweep(
    services: Services, caller: Caller, slot: Slot
) -> None:
    parent = services.submit(caller, HaveChildren(count=250))
    slot.step()

    services.jobs.cancel(caller.org_id, parent.id)  # and nothing after it
    with pytest.raises(Conflict):
        services.jobs.retry(caller.org_id, parent.id)
    sweep(services).once()

    assert services.control.jobs.distinct("state") == ["cancelled"]
    assert services.jobs.retry(caller.org_id, parent.id).run == 2


def test_a_retried_child_is_waited_for_again(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    parent = services.submit(caller, HaveChildren(count=2))
    slot.step()
    first, second = services.jobs.children.of(caller.org_id, parent.id)
    services.submitter.cancel(caller.org_id, first.id)
    assert job_of(parent.id).open_children == 1

    services.submitter.retry(caller.org_id, first.id)
    assert job_of(parent.id).open_children == 2
    services.submitter.cancel(caller.org_id, second.id)
    finish_all(slot)

    assert job_of(parent.id).result == {"succeeded": 1, "failed": 0, "cancelled": 1}
    services.submitter.retry(caller.org_id, second.id)  # its parent has ended and stays so
    finish_all(slot)
    assert (job_of(parent.id).state, job_of(parent.id).claims) == ("succeeded", 2)


def test_a_child_that_is_lost_too_often_is_counted(
    services: Services, caller: Caller, slot: Slot, job_of: JobOf
) -> None:
    from common.jobs.leases import Held
    from common.jobs.problems import problem

    ctx = claimed_parent(services, caller, slot)
    ctx.spawn("one", [BeQuick()])
    child = slot.claim(slot.take())
    assert child is not None
    held = Held(child.org_id, child.job_id, child.token)

    shown = problem("worker-lost", "It died.", attempt=0, now=services.clock.now())
    assert services.jobs.charge_loss(held, problem=shown, expired_only=False)

    assert (job_of(child.job_id).state, job_of(ctx.job_id).open_children) == ("failed", 0)


def sweep(services: Services) -> Sweep:
    return services.sweep()
