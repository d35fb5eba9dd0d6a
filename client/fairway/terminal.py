"""What every command works with: who asks, how things are shown, and how a command ends.

Exit status: 0 done, 1 a job did not succeed, 2 used wrongly, 3 refused by the API, 4 not reached or not in time.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import wraps
from operator import attrgetter
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fairway.client import DEFAULT_URL, Fairway
from fairway.credentials import Credentials, keep, load
from fairway.errors import NotInTime, NotSent, NotWhole, Problem, Unreachable
from fairway.models import Job, Progress

FAILED, REFUSED, NOT_REACHED = 1, 3, 4
ID_CHARS = 36
IDS = frozenset({"id", "job_id", "user_id"})
PIPE_CHARS = 200
_SHOWN_BY = {"job": "fairway show", "ticket": "fairway ticket show", "made": ""}
"""What a problem may point at, by the name that it has there."""
err = Console(stderr=True)


class Terminal:
    """What every command works with: who asks, and how to show things."""

    def __init__(self, url: str | None, token: str | None, *, as_json: bool) -> None:
        known = load()
        self.url = url or (known.url if known else DEFAULT_URL)
        self.token = token or (known.token if known and known.url == self.url else None)
        self._is_kept = bool(not token and known and known.url == self.url and known.refresh_token)
        self.as_json = as_json
        # Into a pipe or a file, lines are as long as they are.
        self.out = Console(width=None if sys.stdout.isatty() else PIPE_CHARS)

    def api(self) -> Fairway:
        """Return the client."""
        return Fairway(self.url, token=self.token, renew=self._renew if self._is_kept else None)

    def _renew(self) -> str:
        """Get the next token for who is signed in, and keep it. Raises `Problem` if the session is over."""
        known = load()
        with Fairway(self.url) as nobody:
            tokens = nobody.refresh(known.refresh_token if known else "")
        keep(Credentials(self.url, tokens.access_token, tokens.refresh_token))
        return tokens.access_token

    def show(self, shown: Any) -> None:
        """Print one thing."""
        if self.as_json:
            click.echo(json.dumps(plain(shown)))
        elif isinstance(shown, Job):
            self.out.print(sentence(shown))
            if shown.result is not None:
                self.out.print_json(data=shown.result)
        else:
            self.out.print_json(data=plain(shown))

    def say(self, line: str) -> None:
        """Print a sentence as it is."""
        self.out.print(Text(printable(line)), soft_wrap=True)

    def list(
        self, things: Iterable[Any], *columns: str, told: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> int:
        """Print many, a line of JSON each or a table, and return how many they were.

        A table's cell is the field that its column is called after, or what *told* makes of the thing.
        """
        count = 0
        if self.as_json:
            for count, one in enumerate(things, 1):  # noqa: B007 (told at the end)
                click.echo(json.dumps(plain(one)))
            return count
        made = {name: attrgetter(name) for name in columns} | dict(told or {})
        table = Table(box=None, pad_edge=False)
        for name in columns:  # an id that is cut off is none
            table.add_column(
                name, no_wrap=name in IDS, min_width=ID_CHARS if name in IDS else None, overflow="fold"
            )
        for one in things:
            table.add_row(*(Text(cell(made[name](one))) for name in columns))
        self.out.print(table)
        return table.row_count

    def end(self, *jobs: Job) -> None:
        """Show how jobs ended, and say it by the exit status."""
        for job in jobs:
            self.show(job)
        if any(job.state != "succeeded" for job in jobs):
            sys.exit(FAILED)


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Let *command* end with a sentence and a status where the API refuses or is away."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except Problem as problem:
            said = escape(printable(problem))
            err.print(f"[red]refused[/red] ({problem.status}) {said}", highlight=False)
            for link in links_of(problem):
                err.print(f"  See: {printable(link)}", highlight=False, markup=False, soft_wrap=True)
            if problem.request_id:
                err.print(
                    f"  request {problem.request_id}, {problem.type}", style="dim", highlight=False, markup=False
                )
            sys.exit(REFUSED)
        except BrokenPipeError:  # nobody reads any more; click knows what to do
            raise
        except (Unreachable, NotInTime, NotSent, NotWhole, OSError) as error:
            err.print(f"[red]not done:[/red] {escape(printable(error))}", highlight=False)
            sys.exit(NOT_REACHED)

    return run


def links_of(problem: Problem) -> Iterator[str]:
    """Go through what *problem* points at, each with the command that shows it if there is one."""
    for name, command in _SHOWN_BY.items():
        link = problem.document.get(name)
        if isinstance(link, str):
            yield f"{link} (`{command} {link.rpartition('/')[2]}`)" if command else link


def sentence(job: Job) -> str:
    """Return how a job stands, in rich's markup."""
    colour = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}.get(job.state, "cyan")
    told = f"{job.id} {job.kind} [{colour}]{job.state}[/{colour}]"
    if job.waiting_for is not None:
        told += f" for {job.waiting_for['reason']}"
        told += f" until {job.waiting_for['until']}" if job.waiting_for.get("until") else ""
    if job.progress.total:
        told += f", {job.progress.done} of {job.progress.total}"
    if job.cancel_requested and job.state == "running":
        told += "; it stops at its next checkpoint"
    if job.error is not None:
        told += f": {escape(printable(job.error.get('detail', '')))}"
    return told


def cell(value: Any) -> str:
    """Return *value* as a table shows it."""
    if isinstance(value, Progress):
        return f"{value.done} of {value.total}" if value.total else cell(value.done or None)
    if isinstance(value, Mapping):
        return cell(", ".join(f"{name}: {cell(one)}" for name, one in value.items()) or None)
    return printable(value) if value is not None else "-"


def printable(value: Any) -> str:
    """Return a text that does nothing to a terminal: names of files and reasons are what others wrote."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in str(value))


def plain(value: Any) -> Any:
    """Return *value* as JSON has it."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
