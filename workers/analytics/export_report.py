"""Writes a report, streamed: a run that is cut off leaves nothing that anybody sees, and the next begins anew."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from common.analytics import reports
from common.analytics.asked import Asked
from common.analytics.export_report import ExportReport, ReportFormat
from common.analytics.reports import REPORTS_MOST, Report
from common.clock import rfc3339
from common.errors import JobFailed, NotFound
from workers.analytics.reporting.csv_file import write_csv
from workers.analytics.reporting.drafts import draft
from workers.analytics.reporting.figures import rows_of_statistics, rows_of_usage
from workers.analytics.reporting.json_file import write_json
from workers.analytics.reporting.overview import overview
from workers.analytics.reporting.rows import Rows
from workers.analytics.reporting.tickets import rows_of_tickets
from workers.analytics.reporting.xlsx_file import write_xlsx
from workers.context import Context
from workers.loose_bytes import noted
from workers.runner import handles

REPORT_MAX_BYTES = 64 * 1024**3
Pieces = Iterator[tuple[bytes, int]]
"""The bytes of a file, and how many rows are in each piece."""

_LINKS = {"self": "", "content": "/content"}
_STREAMED: Mapping[ReportFormat, Callable[[Rows], Pieces]] = {"csv": write_csv, "json": write_json}


@dataclass(frozen=True)
class ExportedReport:
    """The report, and where it can be had until it expires."""

    report_id: str
    rows: int
    size_bytes: int
    sha256: str
    expires_at: str
    links: Mapping[str, str]


@handles(ExportReport)
def export_report(ctx: Context, job: ExportReport) -> ExportedReport:
    """Write the report, store it, and note it: the job's id is the report's."""
    try:
        report = ctx.services.reports.get(ctx.org_id, ctx.job_id)
    except NotFound:
        report = _store(ctx, job)
    return ExportedReport(
        report_id=report.report_id,
        rows=report.rows,
        size_bytes=report.size_bytes,
        sha256=report.sha256,
        expires_at=rfc3339(report.expires_at),
        links={name: f"/v1/analytics/reports/{ctx.job_id}{end}" for name, end in _LINKS.items()},
    )


def _store(ctx: Context, job: ExportReport) -> Report:
    if ctx.services.reports.is_full(ctx.org_id):
        raise JobFailed(f"{REPORTS_MOST} reports are kept. Delete one first.", code="too-many-reports")
    rows: list[int] = []
    pieces = _counted(ctx, *_written(ctx, job), rows)
    blob = ctx.blobs.save(pieces, max_bytes=REPORT_MAX_BYTES, blob_id=noted(ctx))
    now = ctx.services.clock.now()
    report = Report(
        report_id=ctx.job_id,
        report=job.report,
        format=job.format,
        start=job.start,
        end=job.end,
        tz=job.tz,
        source_id=job.source_id,
        blob_id=blob.id,
        rows=sum(rows),
        size_bytes=blob.size_bytes,
        sha256=blob.sha256,
        created_at=now,
        expires_at=now + timedelta(days=ctx.services.settings.reports_kept_days),
    )
    ctx.write(lambda scope: reports.keep(scope, report))
    return report


def _counted(ctx: Context, pieces: Pieces, total: int, rows: list[int]) -> Iterator[bytes]:
    """Go through the bytes, show how far it is, and leave in *rows* how many there were."""
    done = 0
    for piece, count in pieces:
        rows.append(count)
        done += count
        ctx.progress(done, max(total, done), "writing")
        if piece:
            yield piece


def _written(ctx: Context, job: ExportReport) -> tuple[Pieces, int]:
    """Return the pieces of the report's file, and about how many rows they will have."""
    if job.report == "overview":
        return iter([(_page(ctx, job), 0)]), 0
    rows = _rows(ctx, job)
    write = _STREAMED.get(job.format)
    return write(rows) if write is not None else _drafted(ctx, rows), rows.total


def _drafted(ctx: Context, rows: Rows) -> Pieces:
    with draft(ctx.services.settings.data_dir, ctx.job_id, ctx.claim) as folder:
        yield from write_xlsx(rows, folder)


def _rows(ctx: Context, job: ExportReport) -> Rows:
    match job.report:
        case "tickets":
            return rows_of_tickets(ctx.scope, _asked(job))
        case "usage":
            return rows_of_usage(ctx.services.usage.of(ctx.org_id, job.start, job.end))
        case _:
            return rows_of_statistics(ctx.services.statistics.of_tickets(ctx.org_id, _asked(job)))


def _page(ctx: Context, job: ExportReport) -> bytes:
    statistics = ctx.services.statistics.of_tickets(ctx.org_id, _asked(job))
    return overview(statistics, organization=ctx.services.registry.get(ctx.org_id).name, source=job.source_id)


def _asked(job: ExportReport) -> Asked:
    return Asked(job.start, job.end, job.tz, job.source_id)
