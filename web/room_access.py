"""Rooms as a request enters them: every view under `/v1/rooms…` and `/v1/files…` names what it does there.

    @blueprint.route("/v1/rooms/<id:room_id>/files", methods=["GET"])
    @requires("admin", "member")
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, …)
    @in_room(Operation.LIST_FILES)
    def list_files(query, room_id): … room(), role() …

It stands innermost: parameters and JSON bodies are refused for what they are before anybody asks whose room it is.
Whoever has no role in a room, and nobody's room, get the same answer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Any, TypeVar

from flask import g, request

from common.errors import NotFound
from common.files.collections import ROOM_FILES, ROOM_MEMBERS, ROOMS
from common.files.members import member_id, role_of
from common.files.rights import Operation, RoomRole, demand, may
from common.files.room import ABSENT, Room, read_room
from common.tenancy.scope import OrgScope
from web.contract import preconditions
from web.contract.authentication import caller
from web.contract.services import services

F = TypeVar("F", bound=Callable[..., Any])
FILE_ABSENT = "There is no such file."
VISIBLE_MOST = 100
BATCH = 200


@dataclass(frozen=True)
class Linked:
    """A room that has the file and that the caller may look into; *role* is `None` for an admin who has none.

    *link* is the document that links the file: its names there, who added it and when.
    """

    room: Room
    role: RoomRole | None
    link: Mapping[str, Any]


def in_room(operation: Operation, *, to_oneself: Operation | None = None) -> Callable[[F], F]:
    """Let only those in who may do *operation* in the room of the path; `room` and `role` then tell of it.

    *to_oneself* is what it is instead where the path's `user_id` is the caller's own. Raises `NotFound` or
    `Forbidden` in the view's place.
    """

    def decorate(view: F) -> F:
        @wraps(view)
        def entered(*args: Any, **kwargs: Any) -> Any:
            is_own = to_oneself is not None and kwargs["user_id"] == member_id(caller().user_id)
            enter(kwargs["room_id"], to_oneself if is_own and to_oneself is not None else operation)
            return view(*args, **kwargs)

        entered.operation = operation  # type: ignore[attr-defined]
        return entered  # type: ignore[return-value]

    return decorate


def in_any_room_of_file(operation: Operation) -> Callable[[F], F]:
    """Let only those in who may do *operation* in a room that has the file of the path; see `rooms_of_file`.

    Raises `NotFound` or `Forbidden` in the view's place.
    """

    def decorate(view: F) -> F:
        @wraps(view)
        def entered(*args: Any, **kwargs: Any) -> Any:
            g.rooms_of_file = _visible(kwargs["file_id"], operation)
            return view(*args, **kwargs)

        entered.operation = operation  # type: ignore[attr-defined]
        return entered  # type: ignore[return-value]

    return decorate


def enter(room_id: str, operation: Operation) -> Room:
    """Return the room if the caller may do *operation* there. Raises `NotFound` or `Forbidden`."""
    who = caller()
    found_role = role_of(services().scope(who.org_id), room_id, member_id(who.user_id))
    if found_role is None and who.role != "admin":
        raise NotFound(ABSENT)  # before the room is looked for: in the same time, whether it is there or not
    found = services().rooms.get(who.org_id, room_id)
    demand(found_role, operation, is_admin=who.role == "admin", absent=ABSENT)
    g.room, g.room_role = found, found_role
    return found


def room() -> Room:
    """Return the room of this request; only in a view that is `in_room`."""
    found: Room = g.room
    return found


def role() -> RoomRole | None:
    """Return the caller's role in that room; `None` for an admin of the organization who has none there."""
    found: RoomRole | None = g.room_role
    return found


def revision_meant(found: Room) -> int | None:
    """Return the revision of the room that the caller's change is for, or `None` for whichever it is.

    What is shown of a room has more in it than what is changed: files that came since leave an ETag good here.
    Raises `Stale` or `Invalid` like `preconditions.matches`.
    """
    begins = f"{found.version}."
    meant = next((tag for tag in request.if_match.as_set() if tag.startswith(begins)), found.version)
    return found.revision if preconditions.matches(meant) else None


def rooms_of_file() -> list[Linked]:
    """Return rooms that have the file and that the caller may look into, at most `VISIBLE_MOST`.

    In one of them at least they may do the view's operation. Only in a view that is `in_any_room_of_file`.
    """
    found: list[Linked] = g.rooms_of_file
    return found


def _visible(file_id: str, operation: Operation) -> list[Linked]:
    """Look through the rooms of a file until enough are seen, and one where the operation may be done.

    A batch of links costs two more queries by their rooms' ids, however many rooms the caller is in.
    """
    who = caller()
    is_admin = who.role == "admin"
    visible: list[Linked] = []
    permitted: Linked | None = None
    for batch in _links(services().scope(who.org_id), file_id):
        for one in _entered(batch, is_admin=is_admin):
            if permitted is None and may(one.role, operation, is_admin=is_admin):
                permitted = one
            visible.append(one)
        if permitted is not None and len(visible) >= VISIBLE_MOST:
            break
    if not visible:
        raise NotFound(FILE_ABSENT)
    if permitted is None:
        demand(visible[0].role, operation, is_admin=is_admin, absent=FILE_ABSENT)
    shown = visible[:VISIBLE_MOST]
    return shown if permitted is None or permitted in shown else [permitted, *shown[:-1]]


def _links(scope: OrgScope, file_id: str) -> Iterator[list[dict[str, Any]]]:
    found = scope[ROOM_FILES].find({"file_id": file_id}, hint="rooms")
    while batch := list(islice(found, BATCH)):
        yield batch


def _entered(links: list[dict[str, Any]], *, is_admin: bool) -> Iterator[Linked]:
    """Go through those of the links whose room is there and open to the caller."""
    who = caller()
    scope = services().scope(who.org_id)
    ids = [one["room_id"] for one in links]
    mine = scope[ROOM_MEMBERS].find({"user_id": member_id(who.user_id), "room_id": {"$in": ids}})
    roles: dict[str, RoomRole] = {one["room_id"]: one["role"] for one in mine}
    open_ids = ids if is_admin else list(roles)
    if not open_ids:
        return
    there = scope[ROOMS].find({"_id": {"$in": open_ids}, "state": "active"})
    rooms = {one["_id"]: read_room(one) for one in there}
    for link in links:
        if link["room_id"] in rooms:
            yield Linked(rooms[link["room_id"]], roles.get(link["room_id"]), link)
