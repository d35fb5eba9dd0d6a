"""Which reports there are, and which can be had in which format and of which range."""

from collections.abc import Mapping
from datetime import timedelta

from common.analytics.asked import ask
from common.analytics.export_report import ExportReport, ReportFormat, ReportKind
from common.errors import Fault, Invalid
from common.metering.kept import KEPT_DAYS

_DATA: tuple[ReportFormat, ...] = ("json", "csv", "xlsx")
FORMATS: Mapping[ReportKind, tuple[ReportFormat, ...]] = {
    "tickets": _DATA,
    "statistics": _DATA,
    "usage": _DATA,
    "overview": ("html",),
}
OF_SOURCES: frozenset[ReportKind] = frozenset({"tickets", "statistics", "overview"})
OF_ZONES: frozenset[ReportKind] = frozenset({"statistics", "overview"})
MEDIA_TYPES: Mapping[ReportFormat, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
}


def check(job: ExportReport) -> None:
    """Refuse a report that there is not. Raises `Invalid`, which names each field of the request that can't be."""
    faults = [*_of_form(job), *_of_range(job)]
    if faults:
        raise Invalid("This report can't be made; see errors.", faults)


def _of_form(job: ExportReport) -> list[Fault]:
    faults = []
    if job.format not in FORMATS[job.report]:
        formats = FORMATS[job.report]
        faults.append(Fault(f"{job.report} can be had as {' or '.join(formats)}, not as {job.format}", "/format"))
    if job.source_id is not None and job.report not in OF_SOURCES:
        faults.append(Fault(f"{job.report} is of no source; leave it out", "/source_id"))
    if job.tz != "UTC" and job.report not in OF_ZONES:
        faults.append(Fault(f"{job.report} gives its times in UTC; leave it out", "/tz"))
    return faults


def _of_range(job: ExportReport) -> list[Fault]:
    try:
        ask(job.start, job.end, job.tz, job.source_id)
    except Invalid as error:
        return [Fault(one.detail, f"/{one.where}") for one in error.faults]
    if job.report == "usage" and job.end - job.start > timedelta(days=KEPT_DAYS):
        return [Fault(f"may be at most {KEPT_DAYS} days after from, for which usage is kept", "/to")]
    return []
