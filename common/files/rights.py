"""May this person do this here? The one place that knows; every view asks it.

What is done in a room needs a role there. An admin of the organization may do everything in every room, so that
none is ever without somebody who can tend it. To whoever has no role in a room, it does not exist.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from common.errors import Forbidden, NotFound

RoomRole = Literal["viewer", "editor", "owner"]
ROOM_ROLES: tuple[RoomRole, ...] = ("viewer", "editor", "owner")
"""From the one that may least to the one that may most: each may what those before it may."""


class Operation(StrEnum):
    """What can be done in a room; the value is what a refusal says."""

    SHOW_ROOM = "look at this room"
    CHANGE_ROOM = "change this room"
    DELETE_ROOM = "delete this room"
    LIST_MEMBERS = "see who is in this room"
    SET_MEMBER = "give somebody a role in this room"
    REMOVE_MEMBER = "remove somebody else from this room"
    LEAVE_ROOM = "leave this room"
    LIST_FILES = "list the files of this room"
    ADD_FILE = "add files to this room"
    REMOVE_FILE = "remove files from this room"
    SHOW_FILE = "look at this file"
    READ_FILE = "download this file"
    READ_AUDIT_LOG = "read the audit log of this room"


NEEDS: Mapping[Operation, RoomRole] = {
    Operation.SHOW_ROOM: "viewer",
    Operation.CHANGE_ROOM: "owner",
    Operation.DELETE_ROOM: "owner",
    Operation.LIST_MEMBERS: "viewer",
    Operation.SET_MEMBER: "owner",
    Operation.REMOVE_MEMBER: "owner",
    Operation.LEAVE_ROOM: "viewer",
    Operation.LIST_FILES: "viewer",
    Operation.ADD_FILE: "editor",
    Operation.REMOVE_FILE: "editor",
    Operation.SHOW_FILE: "viewer",
    Operation.READ_FILE: "viewer",
    Operation.READ_AUDIT_LOG: "owner",
}
"""The least role that may do each operation."""


def may(role: RoomRole | None, operation: Operation, *, is_admin: bool) -> bool:
    """Tell whether somebody with *role* in a room, or none, may do *operation* there."""
    if is_admin:
        return True
    return role is not None and ROOM_ROLES.index(role) >= ROOM_ROLES.index(NEEDS[operation])


def demand(role: RoomRole | None, operation: Operation, *, is_admin: bool, absent: str) -> None:
    """Go on if that role may do *operation*. Raises `NotFound` with *absent* for none, else `Forbidden`."""
    if may(role, operation, is_admin=is_admin):
        return
    if role is None:
        raise NotFound(absent)
    raise Forbidden(f"Only {_HOLDERS[NEEDS[operation]]} of a room may {operation}.")


_HOLDERS: Mapping[RoomRole, str] = {
    "viewer": "a member",
    "editor": "an editor or owner",
    "owner": "an owner",
}
