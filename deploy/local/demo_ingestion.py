"""The demo's third part: a source is ingested while its worker is killed and its API cut off; then it changes."""

import time
from dataclasses import dataclass

from fairway import Job, Source
from fairway.source_models import Mode
from rich.console import Console
from rich.table import Table

from deploy.local.demo_killer import Killer
from deploy.local.demo_tenants import Tenant
from deploy.local.sample_source import REST, SampleSource

RECORDS = 5_000
PAGE_SIZE = 100
CHANGED, REMOVED, ADDED = 40, 25, 10
CUT_S = 3.0
WITHIN_S = 150


@dataclass(frozen=True)
class Run:
    """One run, and what had to come of it."""

    title: str
    job: Job
    expected: dict[str, int]
    took_s: float

    @property
    def faults(self) -> list[str]:
        """Return what is not as it must be."""
        if self.job.state != "succeeded":
            return [f"{self.title}: the job is {self.job.state}: {self.job.error}"]
        result = self.job.result
        return [
            f"{self.title}: {name} is {result[name]}, not {count}"
            for name, count in self.expected.items()
            if result[name] != count
        ]


@dataclass(frozen=True)
class Report:
    """The runs in their order, and whether the tickets equalled the source at the end."""

    runs: list[Run]
    listed: int
    is_equal: bool

    @property
    def faults(self) -> list[str]:
        """Return what is not as it must be."""
        found = [fault for run in self.runs for fault in run.faults]
        return found if self.is_equal else [*found, "the tickets are not what the source shows"]


def ingest(tenant: Tenant, source: SampleSource, console: Console, killer: Killer) -> Report:
    """Ingest *source* for an organization: all of it, then what changed, then what is gone."""
    made = tenant.admin.make_source("Sample", "rest", source.url, config=REST, page_size=PAGE_SIZE)
    runs = [_first(tenant, made, source, console, killer)]
    source.change(CHANGED)
    for _ in range(ADDED):
        source.add()
    runs.append(_run(tenant, made, "changes", {"new": ADDED, "updated": CHANGED}))
    source.remove(REMOVED)
    gone = {"new": 0, "updated": 0, "deleted": REMOVED}
    runs.append(_run(tenant, made, "losses", gone, mode="full"))
    listed = {ticket.external_id: ticket.message for ticket in tenant.admin.tickets(source_id=made.id)}
    return Report(runs, len(listed), listed == source.texts)


def _first(tenant: Tenant, made: Source, source: SampleSource, console: Console, killer: Killer) -> Run:
    """Ingest all of it; halfway the worker is killed, and the API does not answer for a while."""
    started, job = time.monotonic(), tenant.admin.ingest(made.id, "full")
    for event in tenant.admin.follow(job.id, within_s=WITHIN_S):
        job = event.job or job
        killer.look(job, event.progress or job.progress)
        if killer.has_killed and not source.was_cut:
            console.print(f"the API of the source is cut off for {CUT_S:g} s")
            source.cut(CUT_S)
    return Run("all", job, {"new": RECORDS, "errors": 0}, time.monotonic() - started)


def _run(tenant: Tenant, made: Source, title: str, expected: dict[str, int], mode: Mode = "incremental") -> Run:
    started, job = time.monotonic(), tenant.admin.ingest(made.id, mode)
    job = tenant.admin.wait(job.id, within_s=WITHIN_S)
    return Run(title, job, expected, time.monotonic() - started)


def table_of(report: Report) -> Table:
    """Return what each run did, as a table."""
    columns = ("pages", "new", "updated", "unchanged", "deleted")
    table = Table(title=f"What came from the source: {report.listed} tickets")
    for heading in ("run", *columns, "s", "exact"):
        table.add_column(heading, justify="left" if heading == "run" else "right", no_wrap=True)
    for run in report.runs:
        result = run.job.result or {}
        counts = [str(result.get(name, "-")) for name in columns]
        table.add_row(run.title, *counts, f"{run.took_s:.1f}", "no" if run.faults else "yes")
    return table
