"""Sources that have an interval are started when their time comes, once for each time."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.errors import PyMongoError

from common.caller import Caller
from common.errors import FairwayError, HeldBack, TooMany, Unavailable
from common.ids import JobId, OrgId, new_id
from common.jobs.record import JobRecord
from common.services import Services
from common.sources import turns
from common.sources.collections import SOURCE_RUNS
from common.sources.running import UNKNOWN_FOR
from common.sources.schedule import Done, next_time
from common.sources.source import Source
from tests.integration.conftest import make_organization
from tests.integration.sources.conftest import end_as_a_worker_would
from workers.scheduling import Scheduling

MakeSource = Callable[..., Source]


def let_it_be_due(services: Services, org_id: OrgId, *, ago: timedelta = timedelta(seconds=1)) -> datetime:
    """Let the time of every source of the organization be some time ago."""
    due = services.clock.now() - ago
    services.scope(org_id)[SOURCE_RUNS].update_many({}, {"$set": {"next_run_at": due}})
    return due


def jobs_of(services: Services, org_id: OrgId) -> list[JobRecord]:
    """Return the organization's jobs."""
    return services.jobs.page(org_id, limit=50)


def next_run_at(services: Services, source: Source, org_id: OrgId) -> datetime | None:
    """Return when the next run of a source comes."""
    return turns.find_turn(services.scope(org_id), source.source_id).next_run_at


@pytest.mark.parametrize(
    ("ago_minutes", "ahead_minutes"), [(0, 60), (1, 59), (60, 60), (61, 59), (60 * 24 * 365, 60)]
)
def test_missed_times_are_not_made_up_for(ago_minutes: int, ahead_minutes: int) -> None:
    now = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    due = now - timedelta(minutes=ago_minutes)

    assert next_time(due, timedelta(hours=1), now) == now + timedelta(minutes=ahead_minutes)


def test_a_source_is_started_when_its_time_comes(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    source = make_source(every_minutes=5)
    assert services.schedule.once().started == 0
    due = let_it_be_due(services, org_id, ago=timedelta(minutes=12))

    assert services.schedule.once().started == 1

    (record,) = jobs_of(services, org_id)
    assert record.payload == {"source_id": source.source_id, "mode": "incremental"}
    assert record.submitted_by == f"schedule:{source.source_id}"
    assert next_run_at(services, source, org_id) == due + timedelta(minutes=15)
    assert services.schedule.once().started == 0


def test_a_source_without_an_interval_is_started_by_nobody(
    services: Services, caller: Caller, make_source: MakeSource
) -> None:
    source = make_source(every_minutes=5)
    let_it_be_due(services, caller.org_id)
    fields = {"every_minutes": None}
    services.sources.change(caller, source.source_id, fields, credentials=None, revision=None)

    assert services.schedule.once().started == 0

    assert jobs_of(services, caller.org_id) == []
    assert next_run_at(services, source, caller.org_id) is None


def test_a_source_whose_run_still_goes_on_skips_a_time(
    services: Services, caller: Caller, make_source: MakeSource
) -> None:
    source = make_source(every_minutes=5)
    record = services.runs.start(caller, source.source_id, "full")
    due = let_it_be_due(services, caller.org_id)

    done = services.schedule.once()

    assert (done.started, done.skipped) == (0, 1)
    assert [one.id for one in jobs_of(services, caller.org_id)] == [record.id]
    assert next_run_at(services, source, caller.org_id) == due + timedelta(minutes=5)
    end_as_a_worker_would(services, record)
    let_it_be_due(services, caller.org_id)
    assert services.schedule.once().started == 1


def test_where_too_many_jobs_wait_it_is_tried_at_the_next_time(
    services: Services, org_id: OrgId, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_org_id: OrgId) -> None:
        raise TooMany("Too many wait.", retry_after_s=5)

    source = make_source(every_minutes=5)
    due = let_it_be_due(services, org_id)
    with monkeypatch.context() as crowded:
        crowded.setattr(services.backlog, "make_room", full)
        assert services.schedule.once().skipped == 1

    assert next_run_at(services, source, org_id) == due + timedelta(minutes=5)
    let_it_be_due(services, org_id)
    assert services.schedule.once().started == 1


def test_a_deleted_organization_is_passed_over_and_holds_nobody_up(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    other = make_organization(services, "Deleted")
    source = make_source(every_minutes=5)
    for whose in (org_id, other):
        services.scope(whose)  # both are known as they are now
    let_it_be_due(services, org_id)
    services.control.organizations.update_one(
        {"_id": org_id}, {"$set": {"state": "deleted"}, "$inc": {"revision": 1}}
    )
    services.registry.get(org_id, fresh=True)

    done = services.schedule.once()

    assert (done.started, done.skipped) == (0, 1)
    assert jobs_of(services, org_id) == []
    after = next_run_at(services, source, org_id)
    assert after is not None
    assert after > services.clock.now()


def test_who_dies_between_starting_and_moving_on_starts_no_second_run(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    source = make_source(every_minutes=5)
    due = let_it_be_due(services, org_id)
    services.schedule.once()
    (record,) = jobs_of(services, org_id)
    end_as_a_worker_would(services, record)
    services.scope(org_id)[SOURCE_RUNS].update_one({"_id": source.source_id}, {"$set": {"next_run_at": due}})

    services.schedule.once()

    assert [one.id for one in jobs_of(services, org_id)] == [record.id]
    assert next_run_at(services, source, org_id) == due + timedelta(minutes=5)


def test_who_can_not_tell_whether_it_started_tries_the_same_time_again(
    services: Services, org_id: OrgId, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise PyMongoError("nobody knows")

    make_source(every_minutes=5)
    let_it_be_due(services, org_id)
    with monkeypatch.context() as broken:
        broken.setattr(services.runs, "start", cut_off)
        with pytest.raises(PyMongoError):
            services.schedule.once()

    assert services.schedule.once().started == 1


def let_a_leader_die_before_it_submits(services: Services, org_id: OrgId, source: Source, ago: timedelta) -> None:
    """Let the turn of a source be that of a job that was never accepted."""
    scope = services.scope(org_id)
    was = turns.find_turn(scope, source.source_id)
    assert turns.take(scope, source.source_id, was, JobId(new_id()), services.clock.now() - ago)


def test_a_time_whose_leader_died_before_it_submitted_is_started_when_its_claim_is_over(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    source = make_source(every_minutes=60)
    due = let_it_be_due(services, org_id)
    let_a_leader_die_before_it_submits(services, org_id, source, ago=timedelta(seconds=1))

    early = services.schedule.once()

    assert early == Done(put_off=1)
    assert next_run_at(services, source, org_id) == due
    assert jobs_of(services, org_id) == []
    let_a_leader_die_before_it_submits(services, org_id, source, ago=UNKNOWN_FOR)
    assert services.schedule.once() == Done(started=1)
    assert next_run_at(services, source, org_id) == due + timedelta(minutes=60)


@pytest.mark.parametrize(
    "error", [Unavailable("Nobody answers."), HeldBack("Not now.", retry_after_s=1)], ids=["unavailable", "held"]
)
def test_a_time_that_may_be_started_a_moment_later_is_not_passed_over(
    services: Services,
    org_id: OrgId,
    make_source: MakeSource,
    monkeypatch: pytest.MonkeyPatch,
    error: FairwayError,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    source = make_source(every_minutes=60)
    due = let_it_be_due(services, org_id)
    with monkeypatch.context() as broken:
        broken.setattr(services.runs, "start", fail)
        assert services.schedule.once() == Done(put_off=1)

    assert next_run_at(services, source, org_id) == due
    assert services.schedule.once() == Done(started=1)


def test_two_that_take_themselves_for_the_leader_start_one_run(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    for number in range(5):
        make_source(name=str(number), every_minutes=5)
    let_it_be_due(services, org_id)
    together = threading.Barrier(2)

    def lead() -> None:
        together.wait()
        services.schedule.once()

    threads = [threading.Thread(target=lead) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)

    assert len(jobs_of(services, org_id)) == 5
    assert services.schedule.once().started == 0


def test_more_than_a_pass_looks_at_are_started_by_the_next_ones(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    for number in range(5):
        make_source(name=str(number), every_minutes=5)
    let_it_be_due(services, org_id)

    started = [services.schedule.once(most=2).started for _ in range(4)]

    assert started == [2, 2, 1, 0]


def test_a_sweeper_that_leads_starts_what_is_due(
    services: Services, org_id: OrgId, make_source: MakeSource
) -> None:
    make_source(every_minutes=5)
    let_it_be_due(services, org_id)
    stopped, waited = threading.Event(), threading.Event()
    scheduling = Scheduling(services, stopped)
    scheduling.start()

    scheduling.lead(leads=True)
    ends_at = services.clock.monotonic() + 30
    while not jobs_of(services, org_id) and services.clock.monotonic() < ends_at:
        waited.wait(0.05)
    stopped.set()

    assert len(jobs_of(services, org_id)) == 1
