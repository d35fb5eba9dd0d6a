"""One run of a source at a time, whatever is asked at once, and whoever dies."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from pymongo.errors import PyMongoError

from common.caller import Caller
from common.errors import Conflict, JobFailed, NotFound, TooMany
from common.ids import JobId, OrgId, new_id
from common.jobs.idempotency import AlreadyAnswered, Answer, Once
from common.jobs.record import JobRecord
from common.services import Services
from common.sources import logs, turns
from common.sources.collections import SOURCE_RUNS, SOURCE_SECRETS
from common.sources.running import UNKNOWN_FOR
from common.sources.source import Source
from common.sources.turns import Turn
from common.tickets.ingest import IngestTickets
from tests.integration.sources.conftest import end_as_a_worker_would

TOGETHER = 8


def once(caller: Caller, key: str) -> Once:
    """Return a use of an idempotency key."""
    return Once(caller.org_id, "test", key, "the same", lambda record: Answer(202, {"id": record.id}))


def test_a_run_is_a_job_that_names_its_source(services: Services, caller: Caller, source: Source) -> None:
    record = services.runs.start(caller, source.source_id, "full")

    assert record.kind == IngestTickets.name
    assert record.payload == {"source_id": source.source_id, "mode": "full"}
    assert services.jobs.get(caller.org_id, record.id).state == "queued"


def test_a_second_run_is_refused_with_a_link_to_the_first(
    services: Services, caller: Caller, source: Source
) -> None:
    first = services.runs.start(caller, source.source_id, "full")

    with pytest.raises(Conflict) as refused:
        services.runs.start(caller, source.source_id, "incremental")

    assert refused.value.extra == {"job": f"/v1/jobs/{first.id}"}


def test_of_runs_that_are_started_at_once_one_is_accepted(
    services: Services, caller: Caller, source: Source
) -> None:
    accepted, refused = list[JobRecord](), list[Conflict]()
    together = threading.Barrier(TOGETHER)

    def start() -> None:
        together.wait()
        try:
            accepted.append(services.runs.start(caller, source.source_id, "incremental"))
        except Conflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=start) for _ in range(TOGETHER)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)

    assert (len(accepted), len(refused)) == (1, TOGETHER - 1)
    assert services.control.jobs.count_documents({"org_id": caller.org_id}) == 1
    assert turns.find_turn(services.scope(caller.org_id), source.source_id).job_id == accepted[0].id


@pytest.mark.parametrize("error", [None, "source-ill"])
def test_once_a_run_has_ended_the_next_one_may_begin(
    services: Services, caller: Caller, source: Source, error: str | None
) -> None:
    end_as_a_worker_would(services, services.runs.start(caller, source.source_id, "incremental"), error)

    assert services.runs.start(caller, source.source_id, "incremental").state == "queued"


def test_a_cancelled_run_holds_nothing(services: Services, caller: Caller, source: Source) -> None:
    first = services.runs.start(caller, source.source_id, "incremental")
    services.submitter.cancel(caller.org_id, first.id)

    assert services.runs.start(caller, source.source_id, "incremental").id != first.id


def test_a_turn_whose_job_nobody_accepted_is_held_for_a_minute(
    services: Services, caller: Caller, source: Source
) -> None:
    claim(services, caller.org_id, source, JobId(new_id()), ago=timedelta(seconds=1))

    with pytest.raises(Conflict):
        services.runs.start(caller, source.source_id, "incremental")

    claim(services, caller.org_id, source, JobId(new_id()), ago=UNKNOWN_FOR)
    assert services.runs.start(caller, source.source_id, "incremental").state == "queued"


def test_a_run_that_is_refused_gives_its_turn_back(
    services: Services, caller: Caller, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_org_id: OrgId) -> None:
        raise TooMany("Too many wait.", retry_after_s=5)

    with monkeypatch.context() as crowded:
        crowded.setattr(services.backlog, "make_room", full)
        with pytest.raises(TooMany):
            services.runs.start(caller, source.source_id, "incremental")

    assert services.runs.start(caller, source.source_id, "incremental").state == "queued"


def test_a_run_that_may_have_been_accepted_keeps_its_turn(
    services: Services, caller: Caller, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise PyMongoError("nobody knows")

    with monkeypatch.context() as broken:
        broken.setattr(services.submitter, "submit", cut_off)
        with pytest.raises(PyMongoError):
            services.runs.start(caller, source.source_id, "incremental")

    with pytest.raises(Conflict):
        services.runs.start(caller, source.source_id, "incremental")


def test_the_same_key_gives_the_first_answer_while_its_run_goes_on(
    services: Services, caller: Caller, source: Source
) -> None:
    first = services.runs.start(caller, source.source_id, "incremental", once=once(caller, "a"))

    with pytest.raises(AlreadyAnswered) as replay:
        services.runs.start(caller, source.source_id, "incremental", once=once(caller, "a"))

    assert replay.value.answer.body == {"id": first.id}


def test_a_source_that_is_not_there_has_no_runs(services: Services, caller: Caller, source: Source) -> None:
    services.sources.delete(caller, source.source_id, revision=None)

    for source_id in (source.source_id, new_id()):
        with pytest.raises(NotFound):
            services.runs.start(caller, source_id, "incremental")

    assert services.control.jobs.count_documents({}) == 0


def test_a_source_without_the_credentials_that_it_needs_is_not_run(
    services: Services, caller: Caller, make_source: Callable[..., Source]
) -> None:
    source = make_source(connector="intercom", base_url="https://api.intercom.io")
    services.scope(caller.org_id)[SOURCE_SECRETS].delete_many({})

    with pytest.raises(Conflict, match="credentials"):
        services.runs.start(caller, source.source_id, "incremental")


def test_a_retried_run_takes_the_turn_again(services: Services, caller: Caller, source: Source) -> None:
    record = services.runs.start(caller, source.source_id, "full")
    end_as_a_worker_would(services, record, "source-ill")
    end_as_a_worker_would(services, services.runs.start(caller, source.source_id, "full"))
    scope = services.scope(caller.org_id)
    services.submitter.retry(caller.org_id, record.id)

    services.runs.demand_mine(scope, source.source_id, record.id)

    assert turns.find_turn(scope, source.source_id).job_id == record.id
    with pytest.raises(Conflict):
        services.runs.start(caller, source.source_id, "full")


def test_a_retried_run_fails_while_another_one_goes_on(services: Services, caller: Caller, source: Source) -> None:
    record = services.runs.start(caller, source.source_id, "full")
    end_as_a_worker_would(services, record, "source-ill")
    second = services.runs.start(caller, source.source_id, "full")
    scope = services.scope(caller.org_id)
    services.submitter.retry(caller.org_id, record.id)

    with pytest.raises(JobFailed) as failed:
        services.runs.demand_mine(scope, source.source_id, record.id)

    assert failed.value.shown_code == "run-overtaken"
    services.runs.demand_mine(scope, source.source_id, second.id)


def test_a_run_of_a_deleted_source_fails(services: Services, caller: Caller, source: Source) -> None:
    record = services.runs.start(caller, source.source_id, "full")
    services.sources.delete(caller, source.source_id, revision=None)

    with pytest.raises(JobFailed) as failed:
        services.runs.demand_mine(services.scope(caller.org_id), source.source_id, record.id)

    assert failed.value.shown_code == "source-deleted"


def test_what_a_run_leaves_reaches_the_next_one(services: Services, caller: Caller, source: Source) -> None:
    scope = services.scope(caller.org_id)
    record = services.runs.start(caller, source.source_id, "full")
    shape = {"$set": {"types": ["text"], "always": True}, "a.b": {"types": ["null"], "always": False}}

    services.runs.finish(scope, source.source_id, record.id, watermark="2026-01-31T09:30:00.000Z", shape=shape)

    state = services.runs.state(scope, source.source_id)
    assert (state.watermark, state.shape) == ("2026-01-31T09:30:00.000Z", shape)
    assert turns.find_turn(scope, source.source_id).job_id is None


def test_a_run_that_was_overtaken_leaves_nothing(services: Services, caller: Caller, source: Source) -> None:
    scope = services.scope(caller.org_id)
    record = services.runs.start(caller, source.source_id, "full")
    claim(services, caller.org_id, source, JobId(new_id()), ago=timedelta())

    with pytest.raises(JobFailed):
        services.runs.finish(scope, source.source_id, record.id, watermark="2026-01-31T09:30:00.000Z", shape={})

    assert services.runs.state(scope, source.source_id).watermark is None


def test_the_first_run_of_a_source_from_an_archive_takes_a_turn_that_was_never_there(
    services: Services, caller: Caller, source: Source
) -> None:
    scope = services.scope(caller.org_id)
    scope[SOURCE_RUNS].delete_many({})

    record = services.runs.start(caller, source.source_id, "full")

    assert turns.find_turn(scope, source.source_id).job_id == record.id


def test_a_run_that_never_told_anything_does_not_hide_the_one_before(
    services: Services, caller: Caller, source: Source
) -> None:
    scope, told = services.scope(caller.org_id), list[JobId]()
    for has_log in (True, False):
        record = services.runs.start(caller, source.source_id, "full")
        told.append(record.id)
        if has_log:
            logs.begin(scope, record.id, source.source_id, "full", services.clock.now())
        services.submitter.cancel(caller.org_id, record.id)

    services.runs.start(caller, source.source_id, "full")

    assert turns.find_turn(scope, source.source_id).last_job_id == told[0]


def claim(services: Services, org_id: OrgId, source: Source, job_id: JobId, *, ago: timedelta) -> None:
    """Give the turn to a job that nobody knows."""
    scope = services.scope(org_id)
    was: Turn = turns.find_turn(scope, source.source_id)
    assert turns.take(scope, source.source_id, was, job_id, services.clock.now() - ago)
