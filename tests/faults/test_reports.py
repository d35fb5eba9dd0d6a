"""Workers that write reports die, freeze and lose Redis: each report is whole in the end, no byte lies about."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.analytics.export_report import ExportReport
from common.files.collections import LOOSE_BLOBS
from common.ids import JobId, new_id
from common.tickets.collections import TICKETS
from tests.faults.fleet import Fleet, until
from tests.integration.files.bytes_checked import blobs_in

TICKETS_THERE = 25_000
ANALYSTS = ("analyst-1", "analyst-2")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def writing() -> Iterator[Fleet]:
    """Run two workers that write reports, of an organization with many tickets."""
    fleet = Fleet(workers=0)
    try:
        fleet.start()
        for name in ANALYSTS:
            fleet.run(name)
        fleet.services.scope(fleet.org_id)[TICKETS].insert_many(
            [ticket(number) for number in range(TICKETS_THERE)]
        )
        until(lambda: fleet.checker.slots("analytics") >= 4, "the analysts", 60, fleet.report)
        yield fleet
    finally:
        fleet.close()


def ticket(number: int) -> dict[str, Any]:
    at = BEGIN + timedelta(minutes=number)
    return {
        "_id": new_id(),
        "source_id": "desk",
        "natural_key": f"id:{number}",
        "external_id": str(number),
        "message": "=1+1 Where is my order? " * 8,
        "created_at": at,
        "deleted_at": None,
    }


def report(fleet: Fleet) -> JobId:
    job = ExportReport(report="tickets", format="csv", start=BEGIN, end=BEGIN + timedelta(days=365))
    (record,) = fleet.submit(job)
    return record.id


def holder(fleet: Fleet, job_id: JobId) -> str:
    """Return the worker that has written some of the report and not all."""
    found: list[str] = []

    def is_under_way() -> bool:
        job = fleet.services.jobs.get(fleet.org_id, job_id)
        assert not job.is_final, "the report was over too soon"
        lease = fleet.services.control.jobs.find_one({"_id": job_id}, {"lease": 1}).get("lease")
        if job.progress.done > 0 and lease is not None:
            found[:] = [name for name in ANALYSTS if name in lease["worker"]]
        return bool(found)

    until(is_under_way, "a report under way", report=fleet.report)
    return found[0]


def check(fleet: Fleet, *job_ids: JobId) -> None:
    """Hold every report against the tickets, and the stored bytes against the reports."""
    fleet.check()
    services, scope = fleet.services, fleet.services.scope(fleet.org_id)
    kept = []
    for job_id in job_ids:
        found = services.reports.get(fleet.org_id, job_id)
        kept.append(found.blob_id)
        with services.blobs.open(found.blob_id) as file:
            rows = list(csv.DictReader(io.StringIO(file.read().decode(), newline="")))
        assert [row["external_id"] for row in rows] == [str(number) for number in range(TICKETS_THERE)]
        assert {row["message"][:5] for row in rows} == {"'=1+1"}
        assert found.rows == TICKETS_THERE
    services.cleaner.once()  # what earlier runs wrote
    assert sorted(one["_id"] for one in scope[LOOSE_BLOBS].find({"deleted": None})) == sorted(kept)
    assert sorted(blobs_in(services)) == sorted(kept)


def test_a_report_whose_worker_is_killed_three_times_is_whole(writing: Fleet) -> None:
    job_id = report(writing)
    for _ in range(3):
        victim = holder(writing, job_id)
        with writing.fault("kill -9 of a worker that writes a report, three times"):
            writing.kill(victim)
    writing.settle()

    check(writing, job_id)


def test_a_worker_frozen_past_its_lease_spoils_no_report(writing: Fleet) -> None:
    job_id = report(writing)
    frozen = holder(writing, job_id)
    with writing.fault("SIGSTOP of a worker that writes a report, past its lease"):
        writing.freeze(frozen)
        until(lambda: holder(writing, job_id) != frozen, "another worker to write it", 40, writing.report)
        writing.thaw(frozen)
    writing.settle()

    check(writing, job_id)


def test_reports_outlive_an_empty_redis(writing: Fleet) -> None:
    job_ids = [report(writing) for _ in range(3)]
    holder(writing, job_ids[0])
    with writing.fault("FLUSHALL while reports are written"):
        writing.flush()
    writing.settle()

    check(writing, *job_ids)
