"""Commands on tickets: listed and searched, made, changed, deleted and restored by hand."""

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

import click

from fairway.client import Fairway
from fairway.ids import ID, TICKET_ID
from fairway.source_commands import ids_of, the_only
from fairway.starting import payload, with_key
from fairway.terminal import Terminal, err, printable, reported

F = TypeVar("F", bound=Callable[..., Any])
STATUSES = ("open", "pending", "resolved", "closed")
URGENCIES = ("low", "medium", "high")
SENTIMENTS = ("negative", "neutral", "positive")
_COMPUTED = "computed"
"""What gives a field back to the classifier, on a command line that has no null."""

_BY_HAND = "manual"
"""What stands for the tickets that were made by hand, where a source is named."""

_ticket = click.argument("ticket_id", metavar="TICKET", type=TICKET_ID)


@click.command()
@click.argument("words", nargs=-1)
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--urgency", type=click.Choice(URGENCIES))
@click.option("--sentiment", type=click.Choice(SENTIMENTS))
@click.option("--requires-action/--requires-none", default=None)
@click.option("--source", help="A source's id or name, an import's name, or manual.")
@click.option("--from", "made_from", help="Made at or after: RFC 3339.")
@click.option("--to", "made_to", help="Made before: RFC 3339.")
@click.option("--deleted", is_flag=True, help="Those that can be restored, the last deleted first.")
@click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)
@click.pass_obj
@reported
def tickets(terminal: Terminal, *, words: tuple[str, ...], source: str | None, limit: int, **which: Any) -> None:
    """List tickets, the newest first; with WORDS those that have them all in subject or message."""
    with terminal.api() as fairway:
        whose = source_id_of(fairway, source) if source is not None else None
        found = islice(fairway.tickets(q=" ".join(words) or None, source_id=whose, **which), limit)
        shown = terminal.list(found, "id", "created_at", "status", "urgency", "sentiment", "subject", "message")
    if source is not None and not shown:
        what = "such ticket" if words or any(which.values()) else "ticket"
        err.print(f"no {what} of a source called {printable(source)}", highlight=False, markup=False)


@click.group()
def ticket() -> None:
    """Make, show, change, delete and restore a ticket. `fairway tickets` lists them."""


def _with_fields(command: F) -> F:
    """Give *command* the options of what a ticket may be asked to be."""
    options = (
        click.option("--subject"),
        click.option("--status", type=click.Choice(STATUSES)),
        click.option("--customer", "customer_id"),
        click.option("--channel"),
        click.option("--attributes", default="{}", callback=payload, help='A JSON object: {"order": "A-1001"}.'),
        click.option("--urgency", type=click.Choice((*URGENCIES, _COMPUTED))),
        click.option("--sentiment", type=click.Choice((*SENTIMENTS, _COMPUTED))),
        click.option("--requires-action", type=click.Choice(("yes", "no", _COMPUTED))),
    )
    for option in reversed(options):
        command = option(command)
    return command


@ticket.command()
@click.argument("message")
@click.option("--external-id")
@click.option("--tag", "tags", multiple=True, help="Once for each.")
@_with_fields
@with_key
@click.pass_obj
@reported
def make(terminal: Terminal, *, message: str, key: str | None, **options: Any) -> None:
    """Make a ticket of MESSAGE."""
    with terminal.api() as fairway:
        terminal.show(fairway.make_ticket(message, key=key, **_given(options)))


@ticket.command()
@_ticket
@click.pass_obj
@reported
def show(terminal: Terminal, *, ticket_id: str) -> None:
    """Show TICKET."""
    with terminal.api() as fairway:
        terminal.show(fairway.ticket(ticket_id))


@ticket.command()
@_ticket
@click.option("--message")
@click.option("--tag", "tags", multiple=True, help="Once for each; all of them, in place of the others.")
@_with_fields
@click.pass_obj
@reported
def change(terminal: Terminal, *, ticket_id: str, **options: Any) -> None:
    """Change TICKET; what is left out stays."""
    with terminal.api() as fairway:
        terminal.show(fairway.change_ticket(ticket_id, **_given(options)))


@ticket.command()
@_ticket
@click.pass_obj
@reported
def delete(terminal: Terminal, *, ticket_id: str) -> None:
    """Delete TICKET; it can be restored until it expires."""
    with terminal.api() as fairway:
        fairway.delete_ticket(ticket_id)


@ticket.command()
@_ticket
@click.pass_obj
@reported
def restore(terminal: Terminal, *, ticket_id: str) -> None:
    """Restore TICKET, which is deleted."""
    with terminal.api() as fairway:
        terminal.show(fairway.restore_ticket(ticket_id))


@ticket.command()
@_ticket
@click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)
@click.pass_obj
@reported
def history(terminal: Terminal, *, ticket_id: str, limit: int) -> None:
    """List what became of TICKET, the newest first."""
    with terminal.api() as fairway:
        found = islice(fairway.ticket_history(ticket_id), limit)
        terminal.list(found, "recorded_at", "action", "changes", "actor_id", "job_id")


def source_id_of(fairway: Fairway, source: str) -> str:
    """Return the id of the source that has the name *source*, or that as it is: imports have any name."""
    found = [] if ID.match(source) or source == _BY_HAND else ids_of(fairway, source)
    return the_only(found, source) if found else source


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the options that were given, as the API takes them."""
    given = {name: value for name, value in options.items() if value not in (None, (), {})}
    meant = {_COMPUTED: None, "yes": True, "no": False}
    for name in ("urgency", "sentiment", "requires_action"):
        if name in given:
            given[name] = meant.get(given[name], given[name])
    return {name: list(value) if name == "tags" else value for name, value in given.items()}
