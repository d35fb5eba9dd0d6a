"""The life of a job, step by step, on real servers."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from common.probe.be_quick import BeQuick
from common.probe.leave_marks import LeaveMarks
from common.probe.marks import MARKS

from common.caller import Caller
from common.errors import Conflict, NotFound
from common.ids import JobId, OrgId, new_id
from common.jobs.members import Member
from common.jobs.record import JobRecord
from common.services import Services
from tests.integration.conftest import Asked, Slot, caller_of, make_organization

Read = Callable[[JobId], JobRecord]


def marks(services: Services, org_id: OrgId) -> int:
    return services.scope(org_id)[MARKS].count_documents()


def test_an_accepted_job_is_queued_and_runs_to_its_result(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(steps=3, note="$1.50 off"))
    assert job_of(job.id).state == "queued"

    slot.step()

    done = job_of(job.id)
    assert (done.state, done.result, done.claims) == ("succeeded", {"marks": 3, "note": "$1.50 off"}, 1)
    assert marks(services, caller.org_id) == 3


@pytest.mark.parametrize("text", ["$state", "$$ROOT", "$1.50", "$$NOW", "a.b", "{$literal: 1}"])
def test_a_text_that_looks_like_an_expression_is_kept_to_the_letter(
    services: Services, caller: Caller, slot: Slot, job_of: Read, text: str
) -> None:
    job = services.submit(caller, LeaveMarks(steps=1, note=text), tags=[text])

    slot.step()

    done = job_of(job.id)
    assert (done.payload["note"], done.result["note"], list(done.tags)) == (text, text, [text])


def test_another_organizations_job_is_absent(services: Services, caller: Caller) -> None:
    job = services.submit(caller, BeQuick())
    other = make_organization(services, "Other")

    with pytest.raises(NotFound):
        services.jobs.get(other, job.id)
    with pytest.raises(NotFound):
        services.submitter.cancel(other, job.id)
    with pytest.raises(NotFound):
        services.submitter.retry(other, job.id)
    assert services.jobs.page(other, limit=10) == []


def test_only_one_of_many_claims_gets_the_job(services: Services, caller: Caller, slot: Slot) -> None:
    job = services.submit(caller, BeQuick())
    member = job.entry.member
    claims = []
    threads = [threading.Thread(target=lambda: claims.append(slot.claim(member))) for _ in range(10)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([one for one in claims if one is not None]) == 1


def test_a_claim_under_another_organization_gets_nothing(services: Services, caller: Caller, slot: Slot) -> None:
    job = services.submit(caller, BeQuick())
    other = make_organization(services, "Other")

    assert slot.claim(Member(other, job.id, job.kind)) is None


def test_a_late_finish_is_refused_and_a_late_write_too(services: Services, caller: Caller, slot: Slot) -> None:
    job = services.submit(caller, LeaveMarks(steps=2))
    member = slot.take()
    assert member is not None
    first = slot.claim(member)
    assert first is not None
    services.jobs.give_back(first)  # as the sweep does when a lease is over
    second = slot.claim(member)
    assert second is not None
    winner = slot.run(second)

    late = slot.run(first)

    assert late.ending == "lost"
    assert not slot.write(first, winner)
    assert slot.write(second, winner)
    assert services.jobs.get(caller.org_id, job.id).state == "succeeded"
    assert marks(services, caller.org_id) == 2


def test_a_second_run_goes_on_from_the_checkpoint(services: Services, caller: Caller, slot: Slot) -> None:
    job = services.submit(caller, LeaveMarks(steps=5, trouble="transient", at=3))

    first = slot.step()
    assert first is not None
    assert (first.state, first.attempt, first.waiting_for["reason"]) == ("waiting", 1, "retry")
    assert marks(services, caller.org_id) == 3

    services.jobs.wake([job.entry.member])
    run_when_due(services, slot, caller.org_id, job.id)

    done = services.jobs.get(caller.org_id, job.id)
    assert (done.state, done.claims, done.progress.done) == ("succeeded", 2, 5)
    assert marks(services, caller.org_id) == 5


def run_when_due(services: Services, slot: Slot, org_id: OrgId, job_id: JobId) -> None:
    """Put the job's time into the past, queue it and run it."""
    services.control.jobs.update_one(
        {"_id": job_id, "state": "waiting"}, {"$set": {"run_at": services.clock.now() - timedelta(seconds=1)}}
    )
    member = Member(org_id, job_id, "probe.leave_marks")
    services.jobs.wake([member])
    services.lanes.admit("tickets", [(member, 5)])
    slot.step()


def test_deferring_costs_no_attempt_and_says_why_it_waits(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(trouble="defer"))

    slot.step()

    waiting = job_of(job.id)
    assert (waiting.state, waiting.attempt, waiting.waiting_for["reason"]) == ("waiting", 0, "a test")
    run_when_due(services, slot, caller.org_id, job.id)
    assert job_of(job.id).state == "succeeded"


def test_a_job_that_always_raises_fails_after_its_attempts_with_its_errors(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(trouble="raise", times=99))

    slot.step()
    while job_of(job.id).state == "waiting":
        run_when_due(services, slot, caller.org_id, job.id)

    failed = job_of(job.id)
    assert (failed.state, failed.attempt, len(failed.errors)) == ("failed", 4, 4)
    assert failed.error["code"] == "unexpected-error"
    assert "Traceback" not in str(failed.error)


def test_a_verdict_of_the_handler_fails_at_once(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(trouble="fail"))

    slot.step()

    failed = job_of(job.id)
    assert (failed.state, failed.error["code"], failed.attempt) == ("failed", "cannot", 1)


def test_an_unreadable_payload_fails_the_job_and_names_the_field(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks())
    services.control.jobs.update_one({"_id": job.id}, {"$set": {"payload": {"steps": "many", "other": 1}}})

    slot.step()

    failed = job_of(job.id)
    assert (failed.state, failed.error["code"]) == ("failed", "payload-unreadable")
    assert "steps" in failed.error["detail"]


def test_a_kind_this_version_does_not_know_is_held_not_failed(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, BeQuick())
    services.control.jobs.update_one({"_id": job.id}, {"$set": {"kind": "probe.of_tomorrow"}})

    slot.step()

    held = job_of(job.id)
    assert (held.state, held.waiting_for["reason"], held.attempt) == ("waiting", "kind_unknown_here", 0)


def test_a_cancelled_job_does_not_run(services: Services, caller: Caller, slot: Slot, job_of: Read) -> None:
    job = services.submit(caller, BeQuick())

    assert services.submitter.cancel(caller.org_id, job.id).state == "cancelled"

    assert slot.step() is None
    with pytest.raises(Conflict):
        services.submitter.cancel(caller.org_id, job.id)
    assert job_of(job.id).state == "cancelled"


def test_a_running_job_stops_at_its_next_checkpoint_when_cancelled(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(steps=5))
    member = slot.take()
    assert member is not None
    claimed = slot.claim(member)
    assert claimed is not None

    assert services.submitter.cancel(caller.org_id, job.id).cancel_requested
    outcome = slot.run(claimed, Asked(cancel=True))
    slot.write(claimed, outcome)

    assert job_of(job.id).state == "cancelled"
    assert marks(services, caller.org_id) == 1


def test_a_closing_worker_gives_the_job_back_and_charges_nothing(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(steps=3))
    member = slot.take()
    assert member is not None
    claimed = slot.claim(member)
    assert claimed is not None

    slot.write(claimed, slot.run(claimed, Asked(close=True)))
    services.lanes.forget("tickets", [member])
    services.lanes.admit("tickets", [(member, 5)])

    assert (job_of(job.id).state, job_of(job.id).attempt, job_of(job.id).losses) == ("queued", 0, 0)
    slot.step()
    assert (job_of(job.id).state, marks(services, caller.org_id)) == ("succeeded", 3)


def test_a_retry_starts_a_fresh_run_and_keeps_the_checkpoint(
    services: Services, caller: Caller, slot: Slot, job_of: Read
) -> None:
    job = services.submit(caller, LeaveMarks(steps=3, trouble="fail", at=2))
    slot.step()

    again = services.submitter.retry(caller.org_id, job.id)

    assert (again.state, again.run, again.attempt, again.error) == ("queued", 2, 0, None)
    slot.step()
    assert (job_of(job.id).state, marks(services, caller.org_id)) == ("succeeded", 3)
    with pytest.raises(Conflict):
        services.submitter.retry(caller.org_id, job.id)


def test_a_job_for_later_waits_and_says_until_when(services: Services, caller: Caller, slot: Slot) -> None:
    later = services.clock.now() + timedelta(hours=1)

    job = services.submit(caller, BeQuick(), run_at=later)

    waiting = services.jobs.get(caller.org_id, job.id)
    assert (waiting.state, waiting.waiting_for) == ("waiting", {"reason": "run_at", "until": later})
    assert slot.step() is None
    assert services.lanes.due("tickets")[0] > 3500


def test_a_payload_that_is_too_large_is_refused_and_nothing_is_written(services: Services, caller: Caller) -> None:
    with pytest.raises(ValueError, match="over the 65536"):
        services.submit(caller, LeaveMarks(note="x" * 70_000))

    assert services.jobs.page(caller.org_id, limit=10) == []


def test_a_list_is_newest_first_and_pages(services: Services, caller: Caller) -> None:
    made = [services.submit(caller, BeQuick()).id for _ in range(5)]

    first = services.jobs.page(caller.org_id, limit=3)
    rest = services.jobs.page(caller.org_id, limit=3, before=first[-1].id)

    assert [job.id for job in first + rest] == made[::-1]


def test_a_record_without_an_organization_is_never_claimed(services: Services, slot: Slot) -> None:
    job = services.submit(caller_of(OrgId("")), BeQuick(), job_id=JobId(new_id()))
    claimed = slot.claim(job.entry.member)

    assert claimed is not None
    assert slot.run(claimed).code == "no-organization"
