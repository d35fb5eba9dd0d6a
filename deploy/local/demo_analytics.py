"""The demo's last part: what all that work came to is counted, held against the tickets, and put into a file."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fairway import Job, TicketStatistics
from python_calamine import load_workbook
from rich.console import Console
from rich.table import Table

from deploy.local.demo_killer import Killer
from deploy.local.demo_tenants import Tenant

YEARS = timedelta(days=3_650)
KIND = "analytics.verify_rollups"
WITHIN_S = 120


@dataclass(frozen=True)
class Report:
    """What is counted of one organization, how many tickets it has, and what the verification found."""

    tenant: Tenant
    statistics: TicketStatistics
    asked_s: float
    expected: int
    verification: Job

    @property
    def faults(self) -> list[str]:
        """Return what is not as it must be."""
        if self.verification.state != "succeeded":
            return [f"the verification is {self.verification.state}: {self.verification.error}"]
        counts = {
            "the statistics": self.statistics.total,
            "the sum of days": sum(day["total"] for day in self.statistics.daily_trend),
            "the verification": self.verification.result["tickets"],
        }
        found = [
            f"{what} say {n} tickets, not {self.expected}" for what, n in counts.items() if n != self.expected
        ]
        drifts = self.verification.result["drifts"]
        return [*found, f"{drifts} counts differ from the tickets"] if drifts else found


def count(tenants: Sequence[tuple[Tenant, int]]) -> list[Report]:
    """Ask each organization's statistics, and verify them; each is to have so many tickets."""
    return [_count(tenant, expected) for tenant, expected in tenants]


def _count(tenant: Tenant, expected: int) -> Report:
    now = datetime.now(UTC)
    started = time.monotonic()
    statistics = tenant.admin.ticket_statistics(
        made_from=(now - YEARS).isoformat(), made_to=now.isoformat(), tz="Europe/Berlin"
    )
    asked_s = time.monotonic() - started
    job = tenant.admin.submit(KIND, {"repair": False})
    return Report(tenant, statistics, asked_s, expected, tenant.admin.wait(job.id, within_s=WITHIN_S))


def write_sheet(tenant: Tenant, expected: int, console: Console, killer: Killer) -> list[str]:
    """Have all tickets of an organization written into a sheet, and fetch it; return what is not as it must be."""
    now = datetime.now(UTC)
    job = tenant.admin.make_report("tickets", "xlsx", made_from=(now - YEARS).isoformat(), made_to=now.isoformat())
    for event in tenant.admin.follow(job.id, within_s=WITHIN_S):
        job = event.job or job
        killer.look(job, event.progress or job.progress)
    if job.state != "succeeded":
        return [f"the report is {job.state}: {job.error}"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tickets.xlsx"
        tenant.admin.download_report(job.id, file)
        heading, *rows = load_workbook(file).get_sheet_by_index(0).to_python()
        size_bytes = file.stat().st_size
    ids = {row[heading.index("id")] for row in rows}
    console.print(f"A sheet of {len(rows)} tickets, {size_bytes / 1e6:.1f} MB, each in it once: {len(ids)}.")
    return [] if len(rows) == len(ids) == expected else [f"the sheet has {len(rows)} tickets, not {expected}"]


def table_of(reports: Sequence[Report]) -> Table:
    """Return what each organization's tickets come to, as a table."""
    table = Table(title="What the tickets come to")
    for heading in ("organization", "tickets", "urgent", "negative", "about", "ms", "drifts", "exact"):
        is_text = heading in {"organization", "about"}
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
    for report in reports:
        found = report.statistics
        words = ", ".join(one["keyword"] for one in found.top_keywords[:1])
        table.add_row(
            report.tenant.name,
            str(found.total),
            str(found.by_urgency["high"]),
            str(found.by_sentiment["negative"]),
            words,
            f"{report.asked_s * 1e3:.0f}",
            str((report.verification.result or {}).get("drifts", "-")),
            "no" if report.faults else "yes",
        )
    return table
