"""`fairway`: submit, wait, tail, retry, share and more, from a terminal or a script.

Exit status: 0 done, 1 a job did not succeed, 2 used wrongly, 3 refused by the API, 4 not reached or not in time.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
import stamina

from fairway.analytics_commands import report, reports, statistics, usage
from fairway.client import DEFAULT_URL, Fairway
from fairway.credentials import Credentials, forget, keep
from fairway.file_commands import entries, fetch, files, show_file, storage, unshare
from fairway.ids import JOB_ID
from fairway.room_commands import audit_log, room, rooms
from fairway.share_command import share
from fairway.source_commands import ingest, ingestions, refused_records, source, sources
from fairway.starting import and_then, follow, go_on, payload, with_key, within
from fairway.terminal import Terminal, err, reported
from fairway.ticket_commands import ticket, tickets

STATES = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")


@click.group(help=__doc__)
@click.option("--url", envvar="FAIRWAY_API_URL", help=f"Where the API is; {DEFAULT_URL} if you never signed in.")
@click.option("--token", envvar="FAIRWAY_API_TOKEN", help="An access token, instead of the one that was kept.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line a thing.")
@click.pass_context
def main(context: click.Context, *, url: str | None, token: str | None, as_json: bool) -> None:
    """Make what the commands work with."""
    stamina.instrumentation.set_on_retry_hooks([])  # what is tried again is no output of a command
    context.obj = Terminal(url, token, as_json=as_json)


@main.command("sign-in")
@click.option("--organization", help="The slug; operators have none.")
@click.option("--email", prompt="E-mail")
@click.option("--password", envvar="FAIRWAY_API_PASSWORD", prompt=True, hide_input=True)
@click.pass_obj
@reported
def sign_in(terminal: Terminal, *, organization: str | None, email: str, password: str) -> None:
    """Sign in, and keep the session (thirty days from its last use) in a file of your own."""
    with Fairway(terminal.url) as nobody:
        tokens = nobody.sign_in(organization=organization, email=email, password=password)
    file = keep(Credentials(terminal.url, tokens.access_token, tokens.refresh_token))
    err.print(f"Signed in at {terminal.url}; kept in {file}.", highlight=False)


@main.command("sign-out")
@click.option("--everywhere", is_flag=True, help="End all your sessions, not only this one.")
@click.pass_obj
@reported
def sign_out(terminal: Terminal, *, everywhere: bool) -> None:
    """End the session that was kept."""
    with terminal.api() as fairway:
        fairway.sign_out(everywhere=everywhere)
    forget()
    err.print("Signed out.", highlight=False)


@main.command()
@click.pass_obj
@reported
def users(terminal: Terminal) -> None:
    """List the people of the organization."""
    with terminal.api() as fairway:
        terminal.list(fairway.users(), "id", "email", "name", "role", "state")


@main.command()
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", help="admin or member; operators make operators.")
@click.pass_obj
@reported
def invite(terminal: Terminal, email: str, *, name: str, role: str | None) -> None:
    """Invite EMAIL; the token that is printed, this once, lets them choose a password."""
    with terminal.api() as fairway:
        _, invitation = fairway.add_user(email, name=name, role=role)
    terminal.show(invitation)


@main.command()
@click.argument("token")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@click.pass_obj
@reported
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
@reported
def api_key(terminal: Terminal, name: str, *, scopes: Sequence[str], role: str, expires_at: str | None) -> None:
    """Make an API key and print its token, this once."""
    with terminal.api() as fairway:
        _, token = fairway.make_api_key(name, scopes, role=role, expires_at=expires_at)
    click.echo(token)


@main.command()
@click.argument("kind")
@click.argument("payload", default="{}", callback=payload)
@click.option("--run-at", help="Not before: RFC 3339, as 2026-01-31T09:30:00Z.")
@click.option("--priority", type=click.IntRange(0, 9))
@click.option("--tag", "tags", multiple=True)
@with_key
@and_then
@click.pass_obj
@reported
def submit(
    terminal: Terminal, *, kind: str, payload: dict[str, Any], then: str | None, within_s: float, **options: Any
) -> None:
    """Submit a job of KIND. PAYLOAD is a JSON object, @FILE, or - for standard input."""
    with terminal.api() as api:
        go_on(terminal, api, api.submit(kind, payload, **options), then, within_s)


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--mapping", default="{}", callback=payload, help='Ticket field to column: {"message": "text"}.')
@click.option("--source", help="Whose external ids these are.")
@with_key
@and_then
@click.pass_obj
@reported
def import_tickets(terminal: Terminal, *, file: Path, then: str | None, within_s: float, **options: Any) -> None:
    """Import FILE of tickets: CSV or JSON Lines."""
    with terminal.api() as api:
        go_on(terminal, api, api.import_tickets(file, **options), then, within_s)


@main.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB...", type=JOB_ID)
@within
@click.pass_obj
@reported
def wait(terminal: Terminal, *, job_ids: tuple[str, ...], within_s: float) -> None:
    """Wait until every JOB has ended; the exit status says whether all succeeded."""
    with terminal.api() as api:
        terminal.end(*(api.wait(job_id, within_s=within_s) for job_id in job_ids))


@main.command()
@click.argument("job_id", metavar="JOB", type=JOB_ID)
@within
@click.pass_obj
@reported
def tail(terminal: Terminal, *, job_id: str, within_s: float) -> None:
    """Show the changes of JOB as they happen, until it has ended."""
    with terminal.api() as api:
        follow(terminal, api, job_id, within_s)


@main.command()
@click.argument("job_id", metavar="JOB", type=JOB_ID)
@with_key
@and_then
@click.pass_obj
@reported
def retry(terminal: Terminal, *, job_id: str, key: str | None, then: str | None, within_s: float) -> None:
    """Start a fresh run of JOB, which has failed or was cancelled."""
    with terminal.api() as api:
        go_on(terminal, api, api.retry(job_id, key=key), then, within_s)


@main.command()
@click.argument("job_id", metavar="JOB", type=JOB_ID)
@click.pass_obj
@reported
def cancel(terminal: Terminal, *, job_id: str) -> None:
    """Cancel JOB, or ask it to stop at its next checkpoint."""
    with terminal.api() as api:
        terminal.show(api.cancel(job_id))


@main.command()
@click.argument("job_id", metavar="JOB", type=JOB_ID)
@click.pass_obj
@reported
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
@reported
def jobs(terminal: Terminal, *, limit: int, **query: str | None) -> None:
    """List jobs, newest first."""
    with terminal.api() as api:
        terminal.list(islice(api.jobs(**query), limit), "id", "kind", "state", "progress", "created_at")


@main.command()
@click.pass_obj
@reported
def kinds(terminal: Terminal) -> None:
    """List the kinds of job that you may submit."""
    with terminal.api() as api:
        terminal.list(api.kinds(), "kind", "description")


for _command in (
    sources,
    source,
    ingest,
    ingestions,
    refused_records,
    rooms,
    room,
    share,
    files,
    show_file,
    fetch,
    unshare,
    entries,
    storage,
    audit_log,
    tickets,
    ticket,
    statistics,
    usage,
    reports,
    report,
):
    main.add_command(_command)
