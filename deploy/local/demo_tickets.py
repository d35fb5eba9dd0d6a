"""The demo's first part: every organization imports a file of tickets, and a worker is killed meanwhile."""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fairway import FairwayError, Job
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from common.errors import Misconfigured
from deploy.local.demo_killer import Killer
from deploy.local.demo_tenants import Tenant, sign_up
from deploy.local.sample_tickets import sample
from deploy.local.stack import Stack

ROWS = 20_000
WITHIN_S = 150
LISTED_MOST = 10_000
_SPEAKING = ("message", "text", "body", "content", "description")


@dataclass(frozen=True)
class Task:
    """What one organization imports, and what must come of it (`None`: only the sums can be checked)."""

    name: str
    filename: str
    content: bytes
    mapping: dict[str, str]
    expected: dict[str, int] | None


@dataclass
class Report:
    """How it went for one organization."""

    tenant: Tenant
    job: Job
    listed: int
    """How many tickets the first pages list, at most `LISTED_MOST`."""
    took_s: float
    faults: list[str]


def tasks_for(names: Sequence[str], file: Path | None, mapping: dict[str, str] | None) -> list[Task]:
    """Return what each organization of *names* imports: made-up tickets, or *file*.

    Raises `Misconfigured` if it can't be read.
    """
    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise Misconfigured(f"{file} can't be read: {error.strerror}.") from error
        return [Task(name, file.name, content, mapping or _guess(content), None) for name in names]
    found = []
    for number, name in enumerate(names):
        made = sample(seed=number, rows=ROWS)
        expected = {"rows": made.rows, "new": made.new, "repeated": made.repeated, "refused": made.refused}
        found.append(Task(name, "tickets.csv", made.content, {}, expected))
    return found


def _guess(content: bytes) -> dict[str, str]:
    """Return a mapping if the header has no `message`, but a column that speaks."""
    header = content.split(b"\n", 1)[0].decode(errors="replace").strip().lstrip("\ufeff")
    columns = [column.strip().strip('"') for column in header.replace(";", ",").replace("\t", ",").split(",")]
    for name in _SPEAKING:
        if name in columns:
            return {} if name == "message" else {"message": name}
    return {}


def import_all(stack: Stack, console: Console, tasks: Sequence[Task], killer: Killer) -> list[Report]:
    """Do all *tasks* at once, each in an organization of its own. Raises `Misconfigured` if one halts."""
    columns = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(len(tasks)) as threads:

        def run(task: Task) -> Report:
            return _import_one(stack.url, task, progress, progress.add_task(task.name, total=None), killer)

        try:
            return list(threads.map(run, tasks))
        except (FairwayError, KeyError, TypeError) as error:
            raise Misconfigured(f"The demo came to a halt: {error!r}") from error


def _import_one(url: str, task: Task, progress: Progress, bar: TaskID, killer: Killer) -> Report:
    started, tenant = time.monotonic(), sign_up(url, task.name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / task.filename
        file.write_bytes(task.content)
        job = tenant.admin.import_tickets(file, mapping=task.mapping)
    for event in tenant.admin.follow(job.id, within_s=WITHIN_S):
        job = event.job or job
        shown = event.progress or job.progress
        progress.update(bar, completed=shown.done, total=shown.total)
        killer.look(job, shown)
    seen = {ticket.id for ticket in islice(tenant.admin.tickets(), LISTED_MOST)}
    return Report(tenant, job, len(seen), time.monotonic() - started, _faults(task, job, len(seen)))


def _faults(task: Task, job: Job, listed: int) -> list[str]:
    if job.state != "succeeded":
        return [f"the job is {job.state}: {job.error}"]
    result = job.result
    faults = [
        f"{name} is {result[name]}, not {count}"
        for name, count in (task.expected or {}).items()
        if result[name] != count
    ]
    parts = sum(result[name] for name in ("new", "updated", "unchanged", "repeated", "refused"))
    if parts != result["rows"]:
        faults.append(f"{result['rows']} rows came to {parts}")
    if listed != min(result["new"], LISTED_MOST):
        faults.append(f"{listed} tickets are listed, {result['new']} were new")
    return faults


def table_of(reports: Sequence[Report]) -> Table:
    """Return what each organization has, as a table."""
    table = Table(title="What each organization has")
    for heading in (
        "organization",
        "rows",
        "new",
        "repeated",
        "refused",
        "listed",
        "s",
        "exact",
    ):
        table.add_column(heading, justify="left" if heading == "organization" else "right", no_wrap=True)
    for report in reports:
        result = report.job.result or {}
        counts = [str(result.get(name, "-")) for name in ("rows", "new", "repeated", "refused")]
        exact = "no" if report.faults else "yes"
        table.add_row(report.tenant.name, *counts, str(report.listed), f"{report.took_s:.1f}", exact)
    return table
