"""Commands on rooms and who is in them; a room is named by its id, or by its name if one's own have it once."""

from itertools import islice

import click

from fairway.client import Fairway
from fairway.file_models import RoomRole
from fairway.ids import ID
from fairway.starting import and_then, go_on
from fairway.terminal import Terminal, reported

ROLES = ("viewer", "editor", "owner")

_role = click.argument("role", type=click.Choice(ROLES))


def room_id(fairway: Fairway, room: str) -> str:
    """Return the id of *room*, which is one or a name."""
    if ID.match(room):
        return room
    found = [one.id for one in fairway.rooms() if one.name == room]
    if len(found) == 1:
        return found[0]
    if found:
        said = f"{len(found)} of your rooms have the name {room!r}: {', '.join(found)}. Name it by its id."
    else:
        said = f"none of your rooms has the name {room!r}. `fairway rooms` lists them."
    raise click.BadParameter(said, param_hint="ROOM")


@click.command()
@click.option("--all", "all_of_them", is_flag=True, help="Every room of the organization; for admins.")
@click.pass_obj
@reported
def rooms(terminal: Terminal, *, all_of_them: bool) -> None:
    """List the rooms that you are in, the newest first."""
    with terminal.api() as fairway:
        terminal.list(fairway.rooms(all=all_of_them), "id", "name", "role", "members", "files")


@click.group()
def room() -> None:
    """Make, change and delete a room, and say who is in it. ROOM is an id, or a name of yours."""


@room.command()
@click.argument("name")
@click.option("--description", default="")
@click.pass_obj
@reported
def make(terminal: Terminal, *, name: str, description: str) -> None:
    """Make a room called NAME, and be its owner."""
    with terminal.api() as fairway:
        terminal.show(fairway.make_room(name, description=description))


@room.command()
@click.argument("room")
@click.pass_obj
@reported
def show(terminal: Terminal, *, room: str) -> None:
    """Show ROOM."""
    with terminal.api() as fairway:
        terminal.show(fairway.room(room_id(fairway, room)))


@room.command()
@click.argument("room")
@click.option("--name")
@click.option("--description")
@click.pass_obj
@reported
def change(terminal: Terminal, *, room: str, **options: str | None) -> None:
    """Change the name or the description of ROOM."""
    changes = {name: text for name, text in options.items() if text is not None}
    with terminal.api() as fairway:
        terminal.show(fairway.change_room(room_id(fairway, room), **changes))


@room.command()
@click.argument("room")
@and_then
@click.pass_obj
@reported
def delete(terminal: Terminal, *, room: str, then: str | None, within_s: float) -> None:
    """Delete ROOM with all that is in it."""
    with terminal.api() as fairway:
        go_on(terminal, fairway, fairway.delete_room(room_id(fairway, room)), then, within_s)


@room.command()
@click.argument("room")
@click.pass_obj
@reported
def members(terminal: Terminal, *, room: str) -> None:
    """List who is in ROOM."""
    with terminal.api() as fairway:
        terminal.list(fairway.members(room_id(fairway, room)), "user_id", "role", "email", "name", "since")


@room.command()
@click.argument("room")
@click.argument("user")
@_role
@click.pass_obj
@reported
def invite(terminal: Terminal, *, room: str, user: str, role: RoomRole) -> None:
    """Give USER, a person's e-mail address or an id, a ROLE in ROOM."""
    with terminal.api() as fairway:
        terminal.show(fairway.set_member(room_id(fairway, room), _user_id(fairway, user), role))


@room.command()
@click.argument("room")
@click.argument("user")
@click.pass_obj
@reported
def remove(terminal: Terminal, *, room: str, user: str) -> None:
    """Take USER, an e-mail address or an id, out of ROOM; oneself, to leave it."""
    with terminal.api() as fairway:
        fairway.remove_member(room_id(fairway, room), _user_id(fairway, user))


@click.command("audit-log")
@click.option("--room", help="An id or a name; needed by who is no admin.")
@click.option("--action", help="As file.added.")
@click.option("--actor", "actor_id", help="Who did it: a person's id, or key: and an API key's.")
@click.option("--from", "done_from", help="Done at or after: RFC 3339.")
@click.option("--to", "done_to", help="Done before: RFC 3339.")
@click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)
@click.pass_obj
@reported
def audit_log(terminal: Terminal, *, room: str | None, limit: int, **which: str | None) -> None:
    """List who did what to which room and file, the newest first."""
    with terminal.api() as fairway:
        here = room_id(fairway, room) if room is not None else None
        found = islice(fairway.audit_log(room_id=here, **which), limit)
        where = () if here is not None else ("room_id",)
        terminal.list(found, "created_at", "action", *where, "actor_id", "file_id", "subject_id", "detail")


def _user_id(fairway: Fairway, user: str) -> str:
    """Return the id of *user*, which is one or an e-mail address."""
    if "@" not in user:
        return user
    for person in fairway.users():
        if person.email.casefold() == user.casefold():
            return person.id
    raise click.BadParameter("nobody in the organization has this address.", param_hint="USER")
