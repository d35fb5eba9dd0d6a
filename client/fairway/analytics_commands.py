"""Commands on what tickets come to and what is used: shown, and written into files."""

from pathlib import Path
from typing import Any

import click

from fairway.ids import JOB_ID
from fairway.starting import with_key, within
from fairway.terminal import Terminal, reported
from fairway.ticket_commands import source_id_of

KINDS = ("tickets", "statistics", "usage", "overview")
FORMATS = ("json", "csv", "xlsx", "html")

_source = click.option("--source", help="A source's id or name, an import's name, or manual.")
_report = click.argument("report_id", metavar="REPORT", type=JOB_ID)


@click.command()
@click.option("--from", "made_from", help="Made at or after: RFC 3339.")
@click.option("--to", "made_to", help="Made before: RFC 3339.")
@click.option("--tz", help="The zone of days and hours, as Europe/Berlin.")
@_source
@click.pass_obj
@reported
def statistics(terminal: Terminal, *, source: str | None, **which: str | None) -> None:
    """Count tickets, of the last 30 days unless it is said otherwise."""
    with terminal.api() as fairway:
        whose = source_id_of(fairway, source) if source is not None else None
        terminal.show(fairway.ticket_statistics(source_id=whose, **which))


@click.command()
@click.option("--from", "used_from", help="From the hour of this instant on: RFC 3339.")
@click.option("--to", "used_to", help="Up to this instant: RFC 3339.")
@click.pass_obj
@reported
def usage(terminal: Terminal, **which: str | None) -> None:
    """Show what the organization uses of what its tier gives, this month unless it is said otherwise."""
    with terminal.api() as fairway:
        terminal.show(fairway.usage(**which))


@click.command()
@click.pass_obj
@reported
def reports(terminal: Terminal) -> None:
    """List the reports that have not expired, the newest first."""
    with terminal.api() as fairway:
        terminal.list(fairway.reports(), "id", "filename", "rows", "size_bytes", "expires_at")


@click.group()
def report() -> None:
    """Make, fetch and delete a report. `fairway reports` lists them."""


@report.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "shape", type=click.Choice(FORMATS), help="What FILE's ending says, if it is left out.")
@click.option("--from", "made_from", required=True, help="RFC 3339.")
@click.option("--to", "made_to", required=True, help="RFC 3339.")
@click.option("--tz", default="UTC", show_default=True, help="Of statistics and overviews.")
@_source
@with_key
@within
@click.pass_obj
@reported
def make(
    terminal: Terminal,
    *,
    kind: str,
    file: Path,
    shape: str | None,
    source: str | None,
    within_s: float,
    **which: Any,
) -> None:
    """Have a report of KIND written, wait for it, and put it into FILE."""
    found = shape or file.suffix.removeprefix(".")
    if found not in FORMATS:
        raise click.BadParameter(f"must end in {', '.join(FORMATS)}, or say --format", param_hint="FILE")
    with terminal.api() as fairway:
        whose = source_id_of(fairway, source) if source is not None else None
        made = fairway.make_report(kind, found, source_id=whose, **which)
        job = fairway.wait(made.id, within_s=within_s)
        if job.state == "succeeded":
            fairway.download_report(job.id, file)
    terminal.end(job)


@report.command()
@_report
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
@reported
def fetch(terminal: Terminal, *, report_id: str, file: Path) -> None:
    """Write REPORT to FILE; a part that came before is gone on with."""
    with terminal.api() as fairway:
        fairway.download_report(report_id, file)
        terminal.show(fairway.report(report_id))


@report.command()
@_report
@click.pass_obj
@reported
def delete(terminal: Terminal, *, report_id: str) -> None:
    """Delete REPORT with its file."""
    with terminal.api() as fairway:
        fairway.delete_report(report_id)
