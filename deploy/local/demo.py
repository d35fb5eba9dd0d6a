"""`python -m deploy.local.demo`: organizations import and ingest tickets and share files while workers are killed.

Everything is done through the public API, and every count is checked; the exit status says whether all of it held.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fairway import FairwayError
from rich.console import Console
from rich.markup import escape

from common.config import Settings
from common.errors import Misconfigured
from deploy.local import demo_analytics, demo_files, demo_ingestion, demo_tickets
from deploy.local.demo_killer import Killer
from deploy.local.demo_tenants import Tenant, raise_tier
from deploy.local.sample_source import SampleSource
from deploy.local.servers import free_port
from deploy.local.stack import Stack

NAMES = ("Alder & Sons", "Birch Bank", "Cedar Care")
console = Console()


def main() -> int:
    """Run the demo; return 0 only if every count was exact."""
    asked = _arguments()
    tasks = demo_tickets.tasks_for(NAMES, asked.file, asked.mapping)
    started = time.monotonic()
    with SampleSource(demo_ingestion.RECORDS).serving() as source, _stack(source) as stack:
        console.print(f"Everything runs: API {stack.url}, Flower {stack.flower_url} ({stack.flower_login})")
        killer = Killer(stack, console, "worker-tickets", "row")
        reports = demo_tickets.import_all(stack, console, tasks, killer)
        console.print(demo_tickets.table_of(reports))
        faults = [f"{report.tenant.name}: {fault}" for report in reports for fault in report.faults]
        if asked.file is None:  # a file of one's own may be too small to be interrupted
            faults += [*killer.faults(), *_share_files(stack, reports[0].tenant)]
            faults += _ingest(stack, reports[1].tenant, source)
            faults += _count(stack, reports, source)
    for fault in faults:
        console.print(f"[red]not as it must be:[/red] {escape(fault)}")
    if not faults:
        killed = ", with a worker killed in the middle of each" if asked.file is None else ""
        console.print(f"[green]All counts are exact[/green]{killed}. {time.monotonic() - started:.0f} s.")
    return 1 if faults else 0


def _share_files(stack: Stack, tenant: Tenant) -> list[str]:
    """Let an organization share files, and show what came of it; return what is not as it must be."""
    raise_tier(stack, tenant, "standard")  # so many requests at once are beyond a free one's limit: it would wait
    killer = Killer(stack, console, "worker-files", "entry")
    try:
        report = demo_files.share_files(stack.url, tenant, console, killer)
    except (FairwayError, KeyError, TypeError) as error:
        raise Misconfigured(f"The demo came to a halt: {error!r}") from error
    console.print(demo_files.table_of(report))
    return [f"{tenant.name}: {fault}" for fault in report.faults] + killer.faults()


def _ingest(stack: Stack, tenant: Tenant, source: SampleSource) -> list[str]:
    """Let an organization ingest a source, and show what came of it; return what is not as it must be."""
    killer = Killer(stack, console, "worker-ingestion", "record")
    try:
        report = demo_ingestion.ingest(tenant, source, console, killer)
    except (FairwayError, KeyError, TypeError) as error:
        raise Misconfigured(f"The demo came to a halt: {error!r}") from error
    console.print(demo_ingestion.table_of(report))
    return [f"{tenant.name}: {fault}" for fault in report.faults] + killer.faults()


def _count(stack: Stack, reports: Sequence[demo_tickets.Report], source: SampleSource) -> list[str]:
    """Ask what all tickets come to, have some written into a sheet; return what is not as it must be."""
    killer = Killer(stack, console, "worker-analytics", "row")
    try:
        expected = [report.job.result["new"] for report in reports]
        expected[1] += len(source.texts)
        tenants = zip([report.tenant for report in reports], expected, strict=True)
        found = demo_analytics.count(list(tenants))
        console.print(demo_analytics.table_of(found))
        faults = demo_analytics.write_sheet(reports[1].tenant, expected[1], console, killer)
    except (FairwayError, KeyError, TypeError) as error:
        raise Misconfigured(f"The demo came to a halt: {error!r}") from error
    return (
        [f"{report.tenant.name}: {fault}" for report in found for fault in report.faults]
        + faults
        + killer.faults()
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Import tickets, share files and ingest a source for three organizations, and kill workers."
    )
    parser.add_argument("--file", type=Path, help="a CSV or JSON Lines file of your own; only it is imported")
    parser.add_argument("--mapping", type=json.loads, help='ticket field to column, as {"message": "text"}')
    return parser.parse_args()


@contextmanager
def _stack(source: SampleSource) -> Iterator[Stack]:
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
            ingest_allowed_hosts=(source.host,),
            ingest_requests_per_minute=600,  # it is ours; of somebody else's host 60 are asked for
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Misconfigured as error:
        sys.exit(error.detail)
