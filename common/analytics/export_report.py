"""What is asked: write what an organization's tickets or its usage come to into a file, kept for some days."""

from datetime import datetime
from typing import Literal

from common.jobs.kind import Job

ReportKind = Literal["tickets", "statistics", "usage", "overview"]
ReportFormat = Literal["json", "csv", "xlsx", "html"]


class ExportReport(
    Job, name="analytics.export_report", queue="analytics", time_limit_s=2 * 3600, max_losses=5, max_running=4
):
    """Report on the organization that asks, from *start* up to before *end*.

    `report_forms.check` has looked at all of it together. *tz* is for what counts by days and hours, *source_id*
    for what is of tickets.
    """

    report: ReportKind
    format: ReportFormat
    start: datetime
    end: datetime
    tz: str = "UTC"
    source_id: str | None = None
