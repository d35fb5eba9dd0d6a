"""Retrying many jobs by filter: counted first, done once, and only what the asker may reach."""

from datetime import timedelta
from typing import Any

import pytest
from common.probe.be_quick import BeQuick
from common.probe.leave_marks import LeaveMarks

from common.caller import Caller
from common.clock import rfc3339
from common.errors import CancelRequested
from common.ids import PLATFORM, OrgId
from common.jobs.many import selection_of
from common.jobs.record import JobRecord
from common.jobs.retry_many import RetryMany
from common.services import Services
from tests.integration.conftest import Asked, Slot, caller_of, make_organization
from workers.jobs import each

QUEUE = "organizations"


@pytest.fixture
def operator() -> Caller:
    return Caller(org_id=PLATFORM, user_id="operator", role="operator", request_id="a-request")


def failed(services: Services, caller: Caller, count: int, kind: Any = None) -> list[JobRecord]:
    """Make *count* jobs that have failed."""
    jobs = [services.submit(caller, kind or LeaveMarks(trouble="fail", times=1)) for _ in range(count)]
    slot = Slot(services)
    assert [slot.step().state for _ in jobs] == ["failed"] * count
    return jobs


def count(services: Services, asked: RetryMany, org_id: OrgId) -> int:
    return services.jobs.count(selection_of(asked, org_id, asked_at=services.clock.now()), 1_000)


def test_all_that_failed_is_retried_and_nothing_of_anybody_else(
    services: Services, caller: Caller, slot: Slot
) -> None:
    mine = failed(services, caller, 5)
    other = caller_of(make_organization(services, "Other"))
    theirs = failed(services, other, 2)
    services.submit(caller, BeQuick())
    assert count(services, RetryMany(), caller.org_id) == 5

    services.submit(caller, RetryMany(of_org=other.org_id))  # whatever is named: only one's own
    ended = slot.step(QUEUE)

    assert (ended.state, ended.result) == ("succeeded", {"found": 5, "changed": 5})
    assert (ended.progress.done, ended.progress.total) == (5, 5)
    assert {services.jobs.get(caller.org_id, job.id).run for job in mine} == {2}
    assert {services.jobs.get(other.org_id, job.id).state for job in theirs} == {"failed"}


def test_the_filter_chooses_by_kind_state_and_time(services: Services, caller: Caller, slot: Slot) -> None:
    early = failed(services, caller, 1)[0]
    cancelled = services.submit(caller, BeQuick())
    services.submitter.cancel(caller.org_id, cancelled.id)
    boundary = rfc3339(cancelled.created_at)

    assert count(services, RetryMany(), caller.org_id) == 2
    assert count(services, RetryMany(kind=BeQuick.name), caller.org_id) == 1
    assert count(services, RetryMany(state="cancelled"), caller.org_id) == 1
    assert count(services, RetryMany(until=boundary), caller.org_id) == 1
    services.submit(caller, RetryMany(since=boundary))
    slot.step(QUEUE)

    assert services.jobs.get(caller.org_id, early.id).state == "failed"
    assert services.jobs.get(caller.org_id, cancelled.id).state == "queued"


def test_what_fails_once_more_meanwhile_is_not_retried_again(
    services: Services, caller: Caller, slot: Slot
) -> None:
    (job,) = failed(services, caller, 1, LeaveMarks(trouble="fail", times=9))
    services.submit(caller, RetryMany())
    first = slot.claim(slot.take(QUEUE))
    services.submitter.retry(caller.org_id, job.id)
    assert slot.step().state == "failed"
    slot.write(first, slot.run(first))

    assert services.jobs.get(caller.org_id, job.id).run == 2


def test_killed_in_the_middle_it_goes_on_where_it_was(
    services: Services, caller: Caller, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(each, "PAGE", 2)
    jobs = failed(services, caller, 5)
    services.submit(caller, RetryMany())
    asked = Asked()
    first = slot.claim(slot.take(QUEUE))
    asked.close = True  # given back at its first checkpoint, after two
    outcome = slot.run(first, asked)
    assert outcome.ending == "given_back"
    slot.write(first, outcome)

    ended = slot.step(QUEUE)

    assert ended.result == {"found": 5, "changed": 5}
    assert {services.jobs.get(caller.org_id, job.id).run for job in jobs} == {2}


def test_it_can_be_cancelled_between_pages(
    services: Services, caller: Caller, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(each, "PAGE", 1)
    failed(services, caller, 3)
    services.submit(caller, RetryMany())

    outcome = slot.run(slot.claim(slot.take(QUEUE)), Asked(cancel=True))

    assert outcome.ending == "cancelled"
    assert CancelRequested.__name__  # the checkpoint raised it
    assert count(services, RetryMany(), caller.org_id) == 2


def test_the_platforms_own_reaches_one_organization_or_all(
    services: Services, caller: Caller, operator: Caller, slot: Slot
) -> None:
    other = caller_of(make_organization(services, "Other"))
    mine, theirs = failed(services, caller, 2), failed(services, other, 3)

    services.submit(operator, RetryMany(of_org=other.org_id))
    assert slot.step(QUEUE).result == {"found": 3, "changed": 3}
    services.submit(operator, RetryMany())
    assert slot.step(QUEUE).result == {"found": 2, "changed": 2}

    assert {services.jobs.get(caller.org_id, job.id).run for job in mine} == {2}
    assert {services.jobs.get(other.org_id, job.id).run for job in theirs} == {2}
    assert services.clock.now() - mine[0].created_at < timedelta(minutes=5)
