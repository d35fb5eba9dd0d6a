"""What the commands that start a job have in common: their options, and what is done once it is started."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fairway.client import Fairway
from fairway.events import Event
from fairway.jobs import DAY_S
from fairway.models import FINAL, Job
from fairway.terminal import FAILED, Terminal, plain, sentence

F = TypeVar("F", bound=Callable[..., Any])
with_key = click.option("--key", help="Idempotency-Key: with the same one, nothing is started twice.")
within = click.option("--timeout", "within_s", default=DAY_S, help="Seconds to wait at most.", show_default=True)


def and_then(command: F) -> F:
    """Let *command* wait for what it starts, or show its changes: `then` is "wait", "tail" or `None`."""
    for option in (
        within,
        click.option("--tail", "then", flag_value="tail", help="Show its changes until it has ended."),
        click.option("--wait", "then", flag_value="wait", help="Wait until it has ended."),
    ):
        command = option(command)
    return command


def payload(_context: click.Context, _parameter: click.Parameter, text: str) -> dict[str, Any]:
    """Read an option that is a JSON object: as it is, from @FILE, or from - for standard input."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as error:
        raise click.BadParameter(f"can't be read: {error.strerror}") from error
    except ValueError as error:
        raise click.BadParameter(f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.BadParameter("must be a JSON object")
    return found


def go_on(terminal: Terminal, api: Fairway, job: Job, then: str | None, within_s: float) -> None:
    """Do what was asked for after a job was started."""
    if then == "wait":
        terminal.end(api.wait(job.id, within_s=within_s))
    elif then == "tail":
        follow(terminal, api, job.id, within_s)
    else:
        terminal.show(job)


def follow(terminal: Terminal, api: Fairway, job_id: str, within_s: float) -> None:
    """Show the changes of a job, and say by the exit status how it ended."""
    events = api.follow(job_id, within_s=within_s)
    last = _print_each(events) if terminal.as_json else _draw(terminal, events)
    if last is not None and last.is_final:
        if terminal.as_json:
            sys.exit(0 if last.state == "succeeded" else FAILED)
        terminal.end(last)


def _print_each(events: Iterable[Event]) -> Job | None:
    last = None
    for event in events:
        click.echo(json.dumps({"event": event.kind, "data": plain(event.job or event.progress)}))
        last = event.job or last
    return last


def _draw(terminal: Terminal, events: Iterable[Event]) -> Job | None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    last = None
    with Progress(*columns, console=terminal.out, transient=True) as bars:
        bar: TaskID | None = None
        for event in events:
            last = event.job or last
            progress = event.progress or (event.job.progress if event.job else None)
            state = last.state if last is not None else ""
            if event.job is not None and event.job.state not in FINAL:
                terminal.out.print(sentence(event.job))
            if bar is None:
                bar = bars.add_task(last.kind if last else "", total=None, told="")
            if progress is not None:
                told = f"{progress.done} of {progress.total}" if progress.total else state
                bars.update(bar, completed=progress.done, total=progress.total, told=told)
    return last
