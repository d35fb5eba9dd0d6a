"""`fairway`: submit, wait, tail, retry and more, from a terminal or a script.

Exit status: 0 done, 1 a job did not succeed, 2 used wrongly, 3 refused by the API, 4 not reached or not in time.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from fairway.client import DEFAULT_URL, Fairway
from fairway.credentials import Credentials, forget, keep, load
from fairway.errors import NotInTime, Problem, Unreachable
from fairway.events import Event
from fairway.jobs import DAY_S
from fairway.models import FINAL, Job
from fairway.models import Progress as JobProgress

FAILED, REFUSED, NOT_REACHED = 1, 3, 4
ID_CHARS = 36
PIPE_CHARS = 200
STATES = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")
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
            click.echo(json.dumps(_plain(shown)))
        elif isinstance(shown, Job):
            self.out.print(_sentence(shown))
            if shown.result is not None:
                self.out.print_json(data=shown.result)
        else:
            self.out.print_json(data=_plain(shown))

    def list(self, things: Iterable[Any], *columns: str) -> None:
        """Print many: a line of JSON each, or a table."""
        if self.as_json:
            for one in things:
                click.echo(json.dumps(_plain(one)))
            return
        table = Table(box=None, pad_edge=False)
        for name in columns:  # an id that is cut off is none
            table.add_column(
                name, no_wrap=name == "id", min_width=ID_CHARS if name == "id" else None, overflow="fold"
            )
        for one in things:
            table.add_row(*(_cell(getattr(one, name)) for name in columns))
        self.out.print(table)

    def end(self, *jobs: Job) -> None:
        """Show how jobs ended, and say it by the exit status."""
        for job in jobs:
            self.show(job)
        if any(job.state != "succeeded" for job in jobs):
            sys.exit(FAILED)


def _reported(command: Callable[..., None]) -> Callable[..., None]:
    """Let *command* end with a sentence and a status where the API refuses or is away."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except Problem as problem:
            err.print(f"[red]refused[/red] ({problem.status}) {problem}", highlight=False)
            if problem.request_id:
                err.print(f"  request {problem.request_id}, {problem.type}", style="dim", highlight=False)
            sys.exit(REFUSED)
        except (Unreachable, NotInTime) as error:
            err.print(f"[red]not done:[/red] {error}", highlight=False)
            sys.exit(NOT_REACHED)

    return run


@click.group(help=__doc__)
@click.option("--url", envvar="FAIRWAY_API_URL", help=f"Where the API is; {DEFAULT_URL} if you never signed in.")
@click.option("--token", envvar="FAIRWAY_API_TOKEN", help="An access token, instead of the one that was kept.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line a thing.")
@click.pass_context
def main(context: click.Context, *, url: str | None, token: str | None, as_json: bool) -> None:
    """Make what the commands work with."""
    context.obj = Terminal(url, token, as_json=as_json)


def _payload(_context: click.Context, _parameter: click.Parameter, text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.BadParameter("must be a JSON object")
    return found


_key = click.option("--key", help="Idempotency-Key: with the same one, nothing is started twice.")
_within = click.option("--timeout", "within_s", default=DAY_S, help="Seconds to wait at most.", show_default=True)
_then = click.option("--wait", "then", flag_value="wait", help="Wait until it has ended.")
_tail = click.option("--tail", "then", flag_value="tail", help="Show its changes until it has ended.")


@main.command("sign-in")
@click.option("--organization", help="The slug; operators have none.")
@click.option("--email", prompt="E-mail")
@click.option("--password", envvar="FAIRWAY_API_PASSWORD", prompt=True, hide_input=True)
@click.pass_obj
@_reported
def sign_in(terminal: Terminal, *, organization: str | None, email: str, password: str) -> None:
    """Sign in, and keep the session (thirty days from its last use) in a file of your own."""
    with Fairway(terminal.url) as nobody:
        tokens = nobody.sign_in(organization=organization, email=email, password=password)
    file = keep(Credentials(terminal.url, tokens.access_token, tokens.refresh_token))
    err.print(f"Signed in at {terminal.url}; kept in {file}.", highlight=False)


@main.command("sign-out")
@click.option("--everywhere", is_flag=True, help="End all your sessions, not only this one.")
@click.pass_obj
@_reported
def sign_out(terminal: Terminal, *, everywhere: bool) -> None:
    """End the session that was kept."""
    with terminal.api() as fairway:
        fairway.sign_out(everywhere=everywhere)
    forget()
    err.print("Signed out.", highlight=False)


@main.command()
@click.pass_obj
@_reported
def users(terminal: Terminal) -> None:
    """List the people of the organization."""
    with terminal.api() as fairway:
        terminal.list(fairway.users(), "id", "email", "name", "role", "state")


@main.command()
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", help="admin or member; operators make operators.")
@click.pass_obj
@_reported
def invite(terminal: Terminal, email: str, *, name: str, role: str | None) -> None:
    """Invite EMAIL; the token that is printed, this once, lets them choose a password."""
    with terminal.api() as fairway:
        _, invitation = fairway.add_user(email, name=name, role=role)
    terminal.show(invitation)


@main.command()
@click.argument("token")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@click.pass_obj
@_reported
def join(terminal: Terminal, token: str, *, password: str) -> None:
    """Join with an invitation's TOKEN, or set a new password with a reset's; signs in."""
    with Fairway(terminal.url) as nobody:
        tokens = nobody.set_password(token, password)
    keep(Credentials(terminal.url, tokens.access_token, tokens.refresh_token))
    err.print(f"Signed in at {terminal.url}.", highlight=False)


@main.command("api-key")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="As jobs:read; once for each.")
@click.option("--role", default="member", show_default=True)
@click.option("--expires-at", help="RFC 3339; never, if left out.")
@click.pass_obj
@_reported
def api_key(terminal: Terminal, name: str, *, scopes: Sequence[str], role: str, expires_at: str | None) -> None:
    """Make an API key and print its token, this once."""
    with terminal.api() as fairway:
        _, token = fairway.make_api_key(name, scopes, role=role, expires_at=expires_at)
    click.echo(token)


@main.command()
@click.argument("kind")
@click.argument("payload", default="{}", callback=_payload)
@click.option("--run-at", help="Not before: RFC 3339, as 2026-01-31T09:30:00Z.")
@click.option("--priority", type=click.IntRange(0, 9))
@click.option("--tag", "tags", multiple=True)
@_key
@_then
@_tail
@_within
@click.pass_obj
@_reported
def submit(
    terminal: Terminal, *, kind: str, payload: dict[str, Any], then: str | None, within_s: float, **options: Any
) -> None:
    """Submit a job of KIND. PAYLOAD is a JSON object, @FILE, or - for standard input."""
    with terminal.api() as api:
        _go_on(terminal, api, api.submit(kind, payload, **options), then, within_s)


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--mapping", default="{}", callback=_payload, help='Ticket field to column: {"message": "text"}.')
@click.option("--source", help="Whose external ids these are.")
@_key
@_then
@_tail
@_within
@click.pass_obj
@_reported
def import_tickets(terminal: Terminal, *, file: Path, then: str | None, within_s: float, **options: Any) -> None:
    """Import FILE of tickets: CSV or JSON Lines."""
    with terminal.api() as api:
        _go_on(terminal, api, api.import_tickets(file, **options), then, within_s)


@main.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB...")
@_within
@click.pass_obj
@_reported
def wait(terminal: Terminal, *, job_ids: tuple[str, ...], within_s: float) -> None:
    """Wait until every JOB has ended; the exit status says whether all succeeded."""
    with terminal.api() as api:
        terminal.end(*(api.wait(job_id, within_s=within_s) for job_id in job_ids))


@main.command()
@click.argument("job_id", metavar="JOB")
@_within
@click.pass_obj
@_reported
def tail(terminal: Terminal, *, job_id: str, within_s: float) -> None:
    """Show the changes of JOB as they happen, until it has ended."""
    with terminal.api() as api:
        _follow(terminal, api, job_id, within_s)


@main.command()
@click.argument("job_id", metavar="JOB")
@_key
@_then
@_tail
@_within
@click.pass_obj
@_reported
def retry(terminal: Terminal, *, job_id: str, key: str | None, then: str | None, within_s: float) -> None:
    """Start a fresh run of JOB, which has failed or was cancelled."""
    with terminal.api() as api:
        _go_on(terminal, api, api.retry(job_id, key=key), then, within_s)


@main.command()
@click.argument("job_id", metavar="JOB")
@click.pass_obj
@_reported
def cancel(terminal: Terminal, *, job_id: str) -> None:
    """Cancel JOB, or ask it to stop at its next checkpoint."""
    with terminal.api() as api:
        terminal.show(api.cancel(job_id))


@main.command()
@click.argument("job_id", metavar="JOB")
@click.pass_obj
@_reported
def show(terminal: Terminal, *, job_id: str) -> None:
    """Show JOB as it is now."""
    with terminal.api() as api:
        terminal.show(api.job(job_id))


@main.command()
@click.option("--kind")
@click.option("--state", type=click.Choice(STATES))
@click.option("--since", help="Made at or after: RFC 3339.")
@click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)
@click.pass_obj
@_reported
def jobs(terminal: Terminal, *, limit: int, **query: str | None) -> None:
    """List jobs, newest first."""
    with terminal.api() as api:
        terminal.list(islice(api.jobs(**query), limit), "id", "kind", "state", "progress", "created_at")


@main.command()
@click.pass_obj
@_reported
def kinds(terminal: Terminal) -> None:
    """List the kinds of job that you may submit."""
    with terminal.api() as api:
        terminal.list(api.kinds(), "kind", "description")


def _go_on(terminal: Terminal, api: Fairway, job: Job, then: str | None, within_s: float) -> None:
    """Do what was asked for after a job was started."""
    if then == "wait":
        terminal.end(api.wait(job.id, within_s=within_s))
    elif then == "tail":
        _follow(terminal, api, job.id, within_s)
    else:
        terminal.show(job)


def _follow(terminal: Terminal, api: Fairway, job_id: str, within_s: float) -> None:
    events = api.follow(job_id, within_s=within_s)
    last = _print_each(events) if terminal.as_json else _draw(terminal, events)
    if last is not None and last.is_final:
        if terminal.as_json:
            sys.exit(0 if last.state == "succeeded" else FAILED)
        terminal.end(last)


def _print_each(events: Iterable[Event]) -> Job | None:
    last = None
    for event in events:
        click.echo(json.dumps({"event": event.kind, "data": _plain(event.job or event.progress)}))
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
                terminal.out.print(_sentence(event.job))
            if bar is None:
                bar = bars.add_task(last.kind if last else "", total=None, told="")
            if progress is not None:
                told = f"{progress.done} of {progress.total}" if progress.total else state
                bars.update(bar, completed=progress.done, total=progress.total, told=told)
    return last


def _sentence(job: Job) -> str:
    colour = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}.get(job.state, "cyan")
    told = f"{job.id} {job.kind} [{colour}]{job.state}[/{colour}]"
    if job.waiting_for is not None:
        told += f" for {job.waiting_for['reason']}"
        told += f" until {job.waiting_for['until']}" if job.waiting_for.get("until") else ""
    if job.progress.total:
        told += f", {job.progress.done} of {job.progress.total}"
    if job.error is not None:
        told += f": {job.error.get('detail', '')}"
    return told


def _cell(value: Any) -> str:
    if isinstance(value, JobProgress):
        return f"{value.done} of {value.total}" if value.total else "-"
    return str(value) if value is not None else "-"


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
