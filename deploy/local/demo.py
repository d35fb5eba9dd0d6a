"""`python -m deploy.local.demo`: three organizations import tickets through the API while a worker is killed.

Everything is done through the public API, and every count is checked; the exit status says whether all of it held.
"""

import argparse
import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fairway import Fairway, FairwayError, Job
from fairway import Progress as JobProgress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from common.config import Settings
from common.errors import Misconfigured
from deploy.local.sample_tickets import sample
from deploy.local.servers import free_port
from deploy.local.stack import Stack

NAMES = ("Alder & Sons", "Birch Bank", "Cedar Care")
ROWS = 20_000
WITHIN_S = 150
LISTED_MOST = 10_000
VICTIM = "worker-tickets"
_SPEAKING = ("message", "text", "body", "content", "description")
console = Console()


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

    name: str
    job: Job
    listed: int
    """How many tickets the first pages list, at most `LISTED_MOST`."""
    took_s: float
    faults: list[str]


def main() -> int:
    """Run the demo; return 0 only if every count was exact."""
    asked = _arguments()
    tasks = _tasks(asked.file, asked.mapping)
    started = time.monotonic()
    with _stack() as stack:
        console.print(f"Everything runs: API {stack.url}, Flower {stack.flower_url} ({stack.flower_login})")
        reports = _import_all(stack, tasks)
        restarts = stack.supervisor.restarts_of(VICTIM)
    console.print(_table(reports))
    faults = [f"{report.name}: {fault}" for report in reports for fault in report.faults]
    if restarts == 0 and asked.file is None:
        faults.append("no worker was killed: the imports were over too soon")
    for fault in faults:
        console.print(f"[red]not as it must be:[/red] {fault}")
    took_s = time.monotonic() - started
    if not faults:
        killed = "with a worker killed in the middle" if restarts else "and over before a worker could be killed"
        console.print(f"[green]All counts are exact[/green], {killed}. {took_s:.0f} s.")
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Import tickets for three organizations, and kill a worker meanwhile."
    )
    parser.add_argument("--file", type=Path, help="a CSV or JSON Lines file of your own")
    parser.add_argument("--mapping", type=json.loads, help='ticket field to column, as {"message": "text"}')
    return parser.parse_args()


def _tasks(file: Path | None, mapping: dict[str, str] | None) -> list[Task]:
    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise Misconfigured(f"{file} can't be read: {error.strerror}.") from error
        return [Task(name, file.name, content, mapping or _guess(content), None) for name in NAMES]
    found = []
    for number, name in enumerate(NAMES):
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


@contextmanager
def _stack() -> Iterator[Stack]:
    """Run the whole stack on free ports in a temporary folder; its lines go to a file there."""
    with tempfile.TemporaryDirectory(prefix="fairway-demo-") as folder:
        log = (Path(folder) / "stack.log").open("w", encoding="utf-8")
        settings = Settings(
            data_dir=Path(folder) / "data",
            http_port=free_port(),
            flower_port=free_port(),
            metrics_port=free_port(),
            lease_s=5,
            sweep_s=1,
            grace_s=5,
        )
        stack = Stack(settings, lambda name, line: print(f"{name:20} | {line}", file=log, flush=True))
        console.print("Starting MongoDB, Redis, the API, the workers, two sweepers and Flower ...")
        try:
            stack.start()
            stack.wait_ready()
            yield stack
        finally:
            stack.stop()
            log.close()


def _import_all(stack: Stack, tasks: list[Task]) -> list[Report]:
    columns = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    reports: dict[str, Report] = {}
    failed: list[BaseException] = []
    killer = _Killer(stack)

    with Progress(*columns, console=console) as progress:

        def run(task: Task) -> None:
            try:
                bar = progress.add_task(task.name, total=None)
                reports[task.name] = _import_one(stack.url, task, progress, bar, killer)
            except (FairwayError, KeyError, TypeError) as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise Misconfigured(f"The demo came to a halt: {failed[0]!r}")
    return [reports[task.name] for task in tasks]


class _Killer:
    """Kills the workers of the tickets' queue once, as soon as some rows are in and some are not."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._done = False

    def look(self, job: Job, shown: JobProgress) -> None:
        """Kill if this *job* is in the middle."""
        with self._lock:
            done, total = shown.done, shown.total or 0
            if job.state == "running" and 0 < done < total and not self._done:
                self._done = True
                console.print(f"kill -9 of {VICTIM}, with all its processes, at row {done} of {total}")
                self._stack.supervisor.kill(VICTIM)


def _import_one(url: str, task: Task, progress: Progress, bar: TaskID, killer: _Killer) -> Report:
    started = time.monotonic()
    with _sign_up(url, task.name) as fairway, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / task.filename
        file.write_bytes(task.content)
        job = fairway.import_tickets(file, mapping=task.mapping)
        for event in fairway.follow(job.id, within_s=WITHIN_S):
            job = event.job or job
            shown = event.progress or job.progress
            progress.update(bar, completed=shown.done, total=shown.total)
            killer.look(job, shown)
        seen = {ticket.id for ticket in islice(fairway.tickets(), LISTED_MOST)}
    return Report(task.name, job, len(seen), time.monotonic() - started, _faults(task, job, len(seen)))


def _sign_up(url: str, name: str) -> Fairway:
    """Make an organization, and return what its admin asks with."""
    password, email = secrets.token_urlsafe(16), "admin@demo.example"
    with Fairway(url) as nobody:
        made = nobody.sign_up(name, email=email, password=password)
    with Fairway(url, token=made.job_token) as reader:
        job = reader.wait(made.job.id, within_s=WITHIN_S)
    return Fairway.signed_in(url, organization=job.result["slug"], email=email, password=password)


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


def _table(reports: list[Report]) -> Table:
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
        table.add_row(report.name, *counts, str(report.listed), f"{report.took_s:.1f}", exact)
    return table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Misconfigured as error:
        sys.exit(error.detail)
