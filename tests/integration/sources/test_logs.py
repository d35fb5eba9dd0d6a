"""The log of a run, also of one whose handler never came to its end."""

from datetime import datetime, timedelta

import pytest

from common.caller import Caller
from common.ids import JobId, OrgId, new_id
from common.services import Services
from common.sources import logs
from common.sources.collections import INGESTION_LOGS
from common.sources.logs import KEPT_FOR, SHAPE_CHANGES_MAX, IngestionLog
from common.sources.source import Source
from tests.integration.sources.conftest import end_as_a_worker_would


@pytest.fixture
def begun(services: Services, caller: Caller, source: Source) -> JobId:
    """Return the job of a run whose log was begun."""
    record = services.runs.start(caller, source.source_id, "full")
    logs.begin(services.scope(caller.org_id), record.id, source.source_id, "full", services.clock.now())
    return record.id


def log_of(services: Services, org_id: OrgId, job_id: JobId) -> IngestionLog:
    """Return the log of a run."""
    found = services.ingestion_logs.get(org_id, job_id)
    assert found is not None
    return found


def test_a_log_tells_how_far_its_run_is(services: Services, org_id: OrgId, begun: JobId) -> None:
    logs.note(services.scope(org_id), begun, {"new": 3, "pages": 1})
    logs.note(services.scope(org_id), begun, {"new": 5, "pages": 2})

    found = log_of(services, org_id, begun)

    assert (found.status, found.ended_at) == ("running", None)
    assert {name: number for name, number in found.counts.items() if number} == {"new": 5, "pages": 2}


def test_a_log_counts_nothing_unasked(services: Services, org_id: OrgId, begun: JobId) -> None:
    with pytest.raises(ValueError, match="colour"):
        logs.note(services.scope(org_id), begun, {"colour": 1})


def test_the_end_of_a_run_is_written_with_its_last_figures(
    services: Services, org_id: OrgId, begun: JobId
) -> None:
    changes = [{"field": f"$f.{number}", "change": "new", "types": ["text"]} for number in range(150)]

    at = services.clock.now()
    logs.end(services.scope(org_id), begun, "succeeded", at, {"new": 7}, shape_changes=changes)

    found = log_of(services, org_id, begun)
    assert (found.status, found.ended_at, found.counts["new"]) == ("succeeded", at, 7)
    assert list(found.shape_changes) == changes[:SHAPE_CHANGES_MAX]


def test_a_run_that_goes_on_again_keeps_what_it_counted(services: Services, org_id: OrgId, begun: JobId) -> None:
    scope, before = services.scope(org_id), log_of(services, org_id, begun)
    error = {"code": "source-ill", "detail": "It does not answer."}
    logs.end(scope, begun, "failed", services.clock.now(), {"new": 7}, error=error)

    logs.begin(scope, begun, before.source_id, "full", services.clock.now())

    again = log_of(services, org_id, begun)
    assert (again.status, again.ended_at, again.error, again.counts["new"]) == ("running", None, None, 7)
    assert again.started_at == before.started_at


def test_a_log_whose_handler_never_ended_is_shown_as_its_job_ended(
    services: Services, caller: Caller, begun: JobId
) -> None:
    end_as_a_worker_would(services, services.jobs.get(caller.org_id, begun), "worker-lost")

    found = log_of(services, caller.org_id, begun)

    assert (found.status, found.error) == ("failed", {"code": "worker-lost", "detail": "A sentence."})
    assert found.ended_at == services.jobs.get(caller.org_id, begun).finished_at


def test_a_cancelled_run_is_shown_as_cancelled(services: Services, caller: Caller, begun: JobId) -> None:
    services.submitter.cancel(caller.org_id, begun)

    assert log_of(services, caller.org_id, begun).status == "cancelled"


def test_a_log_whose_job_is_kept_no_longer_has_failed(services: Services, org_id: OrgId, begun: JobId) -> None:
    services.control.jobs.delete_one({"_id": begun})

    found = log_of(services, org_id, begun)

    assert found.status == "failed"
    assert found.error is not None


def test_an_end_that_nobody_wrote_is_written_before_its_job_is_forgotten(
    services: Services, caller: Caller, begun: JobId
) -> None:
    services.submitter.cancel(caller.org_id, begun)
    let_it_be_due(services, caller.org_id)

    assert services.schedule.once().settled == 1

    services.control.jobs.delete_one({"_id": begun})
    assert log_of(services, caller.org_id, begun).status == "cancelled"
    assert services.schedule.once().settled == 0


def test_a_run_that_goes_on_is_looked_at_again_later(services: Services, org_id: OrgId, begun: JobId) -> None:
    let_it_be_due(services, org_id)

    assert services.schedule.once().settled == 1

    assert log_of(services, org_id, begun).status == "running"
    assert services.schedule.once().settled == 0


def test_the_newest_run_comes_first_and_each_has_its_end(
    services: Services, caller: Caller, source: Source
) -> None:
    scope, made = services.scope(caller.org_id), list[JobId]()
    for _ in range(3):
        record = services.runs.start(caller, source.source_id, "incremental")
        logs.begin(scope, record.id, source.source_id, "incremental", services.clock.now())
        services.submitter.cancel(caller.org_id, record.id)
        made.append(record.id)
    logs.begin(scope, JobId(new_id()), new_id(), "full", services.clock.now())

    first = services.ingestion_logs.page(caller.org_id, source_id=source.source_id, before=None, limit=2)
    rest = services.ingestion_logs.page(
        caller.org_id, source_id=source.source_id, before=first[-1].job_id, limit=2
    )

    assert [one.job_id for one in (*first, *rest)] == made[::-1]
    assert {one.status for one in (*first, *rest)} == {"cancelled"}
    assert len(services.ingestion_logs.page(caller.org_id, source_id=None, before=None, limit=9)) == 4


def test_a_log_goes_after_ninety_days(services: Services, org_id: OrgId, begun: JobId) -> None:
    (row,) = services.scope(org_id)[INGESTION_LOGS].find({"_id": begun})

    assert row["expires_at"] == row["started_at"] + KEPT_FOR
    assert timedelta(days=90) == KEPT_FOR


def let_it_be_due(services: Services, org_id: OrgId) -> None:
    """Let the time come at which ends that nobody wrote are looked for."""
    past = datetime.fromisoformat("2026-01-31T09:30:00Z")
    services.scope(org_id)[INGESTION_LOGS].update_many({}, {"$set": {"settle_at": past}})
