"""Commands on what tickets come to and what is used: shown, and written into files."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from fairway.analytics_models import TicketStatistics, Usage
from fairway.ids import REPORT_ID
from fairway.starting import with_key, within
from fairway.terminal import Terminal, reported
from fairway.ticket_commands import source_id_of

FORMATS: Mapping[str, tuple[str, ...]] = {
    "tickets": ("json", "csv", "xlsx"),
    "statistics": ("json", "csv", "xlsx"),
    "usage": ("json", "csv", "xlsx"),
    "overview": ("html",),
}
"""Each kind of report, and as what it can be had."""

USUAL_RANGE = timedelta(days=30)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SAID = "RFC 3339, as 2026-01-31T09:30:00Z, or a date (UTC)"


@dataclass(frozen=True)
class Figure:
    """A line of what is shown."""

    what: str
    value: Any


def _instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Read a date as the instant at which it begins; the API says what else is none."""
    return f"{text}T00:00:00Z" if text is not None and _DATE.fullmatch(text) else text


def _from(name: str, told: str) -> Callable[..., Any]:
    return click.option("--from", name, callback=_instant, help=f"{told}: {_SAID}.")


def _to(name: str, told: str) -> Callable[..., Any]:
    return click.option("--to", name, callback=_instant, help=f"{told}: {_SAID}.")


_source = click.option("--source", help="A source's id or name, an import's name, or manual.")
_report = click.argument("report_id", metavar="REPORT", type=REPORT_ID)
_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_force = click.option("--force", is_flag=True, help="Replace what is there.")


@click.command()
@_from("made_from", "Made at or after")
@_to("made_to", "Made before")
@click.option("--tz", help="The zone of days and hours, as Europe/Berlin.")
@_source
@click.pass_obj
@reported
def statistics(terminal: Terminal, *, source: str | None, **which: str | None) -> None:
    """Count tickets, of the last 30 days unless it is said otherwise; trends come with --json."""
    with terminal.api() as fairway:
        whose = source_id_of(fairway, source) if source is not None else None
        found = fairway.ticket_statistics(source_id=whose, **which)
    if terminal.as_json:
        terminal.show(found)
    else:
        terminal.list(_told(found), "what", "value")


@click.command()
@_from("used_from", "From the hour of this instant on")
@_to("used_to", "Up to this instant")
@click.pass_obj
@reported
def usage(terminal: Terminal, **which: str | None) -> None:
    """Show what the organization uses of what its tier gives, this month unless it is said otherwise."""
    with terminal.api() as fairway:
        found = fairway.usage(**which)
    if terminal.as_json:
        terminal.show(found)
    else:
        terminal.list(_used(found), "what", "value")


@click.command()
@click.pass_obj
@reported
def reports(terminal: Terminal) -> None:
    """List the reports that have not expired, the newest first."""
    with terminal.api() as fairway:
        terminal.list(fairway.reports(), "id", "filename", "size_bytes", "created_at", "expires_at")


@click.group()
def report() -> None:
    """Make, fetch and delete a report. `fairway reports` lists them."""


@report.command()
@click.argument("kind", type=click.Choice(list(FORMATS)))
@_file
@click.option("--format", "shape", help="What FILE's ending says, if it is left out.")
@_from("made_from", "From then on; 30 days before its end if it is left out")
@_to("made_to", "Up to before then; now if it is left out")
@click.option("--tz", default="UTC", show_default=True, help="Of statistics and overviews.")
@_source
@_force
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
    force: bool,
    within_s: float,
    **which: Any,
) -> None:
    """Have a report of KIND written, wait for it, and put it into FILE.

    `tickets`, `statistics` and `usage` can be json, csv or xlsx, an `overview` is html.
    """
    found = shape or file.suffix.removeprefix(".")
    if found not in FORMATS[kind]:
        told = " or ".join(FORMATS[kind])
        raise click.BadParameter(f"{kind} is had as {told}: let it end so, or say --format", param_hint="FILE")
    _refuse(file, force=force)
    end = which["made_to"] or datetime.now(UTC).isoformat()
    which |= {"made_to": end, "made_from": which["made_from"] or _before(end)}
    with terminal.api() as fairway:
        whose = source_id_of(fairway, source) if source is not None else None
        made = fairway.make_report(kind, found, source_id=whose, **which)
        job = fairway.wait(made.id, within_s=within_s)
        if job.state != "succeeded":
            terminal.end(job)
        fairway.download_report(job.id, file)
        _say(terminal, job.id, job.result, file)


@report.command()
@_report
@_file
@_force
@click.pass_obj
@reported
def fetch(terminal: Terminal, *, report_id: str, file: Path, force: bool) -> None:
    """Write REPORT to FILE; a part that came before is gone on with."""
    _refuse(file, force=force)
    with terminal.api() as fairway:
        fairway.download_report(report_id, file)
        found = fairway.report(report_id)
    _say(terminal, report_id, {"rows": found.rows, "size_bytes": found.size_bytes}, file)


@report.command()
@_report
@click.pass_obj
@reported
def delete(terminal: Terminal, *, report_id: str) -> None:
    """Delete REPORT with its file."""
    with terminal.api() as fairway:
        fairway.delete_report(report_id)


def _refuse(file: Path, *, force: bool) -> None:
    """Raise `UsageError` for a file that can't be written, before anything is asked for."""
    if not file.parent.is_dir():
        raise click.UsageError(f"There is no folder {file.parent}.")
    if file.exists() and not force:
        raise click.UsageError(f"{file} is there already; --force replaces it.")


def _before(end: str) -> str:
    try:
        return (datetime.fromisoformat(end) - USUAL_RANGE).isoformat()
    except (ValueError, OverflowError):
        return end  # the API says what is wrong with it


def _say(terminal: Terminal, report_id: str, made: Mapping[str, Any], file: Path) -> None:
    if terminal.as_json:
        terminal.show({"id": report_id, "path": str(file), "rows": made["rows"], "size_bytes": made["size_bytes"]})
        return
    rows = f"{made['rows']} rows, " if made["rows"] else ""
    terminal.say(f"{file}, {rows}{made['size_bytes']} bytes")


def _told(found: TicketStatistics) -> Iterator[Figure]:
    """Go through statistics in a page's length."""
    yield Figure("from", found.range["from"])
    yield Figure("to before", found.range["to"])
    yield Figure("tickets", found.total)
    yield Figure("require action", found.requires_action)
    yield Figure("by status", found.by_status)
    yield Figure("by urgency", found.by_urgency)
    yield Figure("by sentiment", found.by_sentiment)
    yield Figure("about", {one["keyword"]: one["tickets"] for one in found.top_keywords} or None)
    at_risk = {one["customer_id"]: one["tickets"] for one in found.at_risk_customers}
    yield Figure("customers at risk", at_risk or None)
    times = {name: found.response_time[f"{name}_s"] for name in ("p50", "p90", "p95", "p99")}
    yield Figure("response, seconds", times if found.response_time["tickets"] else None)


def _used(found: Usage) -> Iterator[Figure]:
    """Go through usage without its days."""
    yield Figure("from", found.range["from"])
    yield Figure("to", found.range["to"])
    yield Figure("requests", found.requests)
    yield Figure("jobs", found.jobs)
    yield Figure("storage", found.storage)
    yield Figure("users", found.users)
    yield Figure("tickets written", found.rows_written)
    near = {one["figure"]: f"{one['share']:.0%}" for one in found.warnings}
    yield Figure("nearly used up", near or None)
    yield Figure("counted to", found.counted_to)
