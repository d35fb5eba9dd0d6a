"""Commands on sources and their runs; a source is named by its id, or by its name if one alone has it."""

from collections.abc import Sequence
from itertools import islice
from textwrap import shorten
from typing import Any

import click

from fairway.client import Fairway
from fairway.ids import ID, JOB_ID
from fairway.source_models import IngestionLog, Mode, Source
from fairway.starting import and_then, go_on, payload, with_key
from fairway.terminal import Terminal, reported

_ERROR_CHARS = 80
_LIMIT = click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)


def source_id(fairway: Fairway, source: str) -> str:
    """Return the id of *source*, which is one or a name."""
    if ID.match(source):
        return source
    found = ids_of(fairway, source)
    if not found:
        said = f"no source has the name {source!r}. `fairway sources` lists them."
        raise click.BadParameter(said, param_hint="SOURCE")
    return the_only(found, source)


def ids_of(fairway: Fairway, name: str) -> Sequence[str]:
    """Return the ids of the sources that have this name."""
    return [one.id for one in fairway.sources() if one.name == name]


def the_only(ids: Sequence[str], name: str) -> str:
    """Return the one of *ids*. Raises `BadParameter` if *name* stands for several."""
    if len(ids) > 1:
        said = f"{len(ids)} sources have the name {name!r}: {', '.join(ids)}. Name it by its id."
        raise click.BadParameter(said, param_hint="SOURCE")
    return ids[0]


def _object(context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, Any] | None:
    return payload(context, parameter, text) if text is not None else None


def _settings(command: Any) -> Any:
    """Give *command* the options of what a source may be told; those that are left out stay as they are."""
    for option in (
        click.option("--config", callback=_object, help="What its connector has to be told: JSON, @FILE or -."),
        click.option("--credentials", callback=_object, help='{"token": "…"}, better as @FILE or -.'),
        click.option("--page-size", type=click.IntRange(1, 1_000), help="Records on a page: up to 1000."),
        click.option("--rate", type=(int, int), metavar="CALLS SECONDS", help="Ask it less often than others."),
        click.option(
            "--every",
            "every_minutes",
            type=click.IntRange(5, 10_080),
            help="Minutes from run to run: 5 to 10080.",
        ),
    ):
        command = option(command)
    return command


def _told(rate: tuple[int, int] | None, options: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in options.items() if value is not None}
    return told | ({"rate_limit": {"limit": rate[0], "per_s": rate[1]}} if rate is not None else {})


@click.command()
@click.pass_obj
@reported
def sources(terminal: Terminal) -> None:
    """List the sources that tickets are ingested from, the newest first."""
    with terminal.api() as fairway:
        columns = ("id", "name", "connector", "running_job", "last_run", "next_run_at")
        terminal.list(fairway.sources(), *columns, told={"last_run": _last_run})


@click.group()
def source() -> None:
    """Set up, change and delete a source. SOURCE is an id, or a name."""


@source.command()
@click.argument("name")
@click.argument("connector")
@click.argument("base_url")
@_settings
@with_key
@click.pass_obj
@reported
def make(
    terminal: Terminal,
    *,
    name: str,
    connector: str,
    base_url: str,
    key: str | None,
    rate: tuple[int, int] | None,
    **options: Any,
) -> None:
    """Set up a source called NAME: the API at BASE_URL, which CONNECTOR knows."""
    with terminal.api() as fairway:
        terminal.show(fairway.make_source(name, connector, base_url, key=key, **_told(rate, options)))


@source.command()
@click.argument("source")
@click.pass_obj
@reported
def show(terminal: Terminal, *, source: str) -> None:
    """Show SOURCE."""
    with terminal.api() as fairway:
        terminal.show(fairway.source(source_id(fairway, source)))


@source.command()
@click.argument("source")
@click.option("--name")
@click.option("--base-url")
@click.option("--by-hand", is_flag=True, help="Start no more runs by an interval.")
@_settings
@click.pass_obj
@reported
def change(
    terminal: Terminal, *, source: str, by_hand: bool, rate: tuple[int, int] | None, **options: Any
) -> None:
    """Change what SOURCE is made of; what is left out stays."""
    if by_hand and options["every_minutes"] is not None:
        raise click.UsageError("--every starts runs by an interval, --by-hand none: give one of them.")
    changes = _told(rate, options) | ({"every_minutes": None} if by_hand else {})
    with terminal.api() as fairway:
        terminal.show(fairway.change_source(source_id(fairway, source), **changes))


@source.command()
@click.argument("source")
@click.pass_obj
@reported
def delete(terminal: Terminal, *, source: str) -> None:
    """Delete SOURCE with its credentials; its tickets stay."""
    with terminal.api() as fairway:
        fairway.delete_source(source_id(fairway, source))


@click.command()
@click.argument("source")
@click.option(
    "--full", "mode", flag_value="full", help="Read everything, and delete what is gone; else what has changed."
)
@with_key
@and_then
@click.pass_obj
@reported
def ingest(
    terminal: Terminal, *, source: str, mode: Mode | None, key: str | None, then: str | None, within_s: float
) -> None:
    """Start a run of SOURCE, an id or a name."""
    with terminal.api() as fairway:
        job = fairway.ingest(source_id(fairway, source), mode or "incremental", key=key)
        go_on(terminal, fairway, job, then, within_s)


@click.command()
@click.option("--source", help="Of this one only: an id or a name.")
@_LIMIT
@click.pass_obj
@reported
def ingestions(terminal: Terminal, *, source: str | None, limit: int) -> None:
    """List the runs of sources, the newest first."""
    with terminal.api() as fairway:
        whose = source_id(fairway, source) if source is not None else None
        found = islice(fairway.ingestion_logs(source_id=whose), limit)
        names = {} if terminal.as_json else {one.id: one.name for one in fairway.sources()}
        columns = ("job_id", "source", "mode", "status", "records", "started_at", "error")
        told = {
            "source": lambda log: names.get(log.source_id, log.source_id),
            "records": _records,
            "error": _error,
        }
        terminal.list(found, *columns, told=told)


@click.command("refused-records")
@click.argument("job_id", metavar="JOB", type=JOB_ID)
@_LIMIT
@click.pass_obj
@reported
def refused_records(terminal: Terminal, *, job_id: str, limit: int) -> None:
    """List the records that the run JOB set aside, and why."""
    with terminal.api() as fairway:
        found = islice(fairway.refused_records(job_id), limit)
        terminal.list(found, "line", "external_id", "column", "reason", "page")


def _last_run(source: Source) -> str | None:
    last = source.last_run
    return f"{last.status} {last.ended_at or last.started_at}" if last is not None else None


def _records(log: IngestionLog) -> dict[str, int]:
    """Return what became of records; what did not happen is left out, so that the table has room."""
    counts = {
        name: getattr(log, name) for name in ("new", "updated", "unchanged", "returned", "deleted", "errors")
    }
    return {name: count for name, count in counts.items() if count}


def _error(log: IngestionLog) -> str | None:
    return shorten(log.error.get("detail", ""), _ERROR_CHARS, placeholder="…") if log.error is not None else None
