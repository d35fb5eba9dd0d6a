"""A room: what people share files in; shown while it is active, and found by nobody from its deletion on.

`revision` rises with every change of the room and of who is in it, so that two of them at once meet in it;
`touches` with every change of its files, which leaves what a caller means to change as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from common.clock import rfc3339
from common.errors import NotFound, Stale
from common.files.collections import ROOMS
from common.ids import new_id
from common.tenancy.scope import OrgScope

ABSENT = "There is no such room."


@dataclass(frozen=True)
class Room:
    """A room that is active; *members* and *files* are how many there are."""

    room_id: str
    name: str
    description: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int
    touches: int
    members: int
    files: int

    @property
    def version(self) -> str:
        """Return what changes with every change of the room and of who is in it."""
        return f"{self.room_id}-{self.revision}"

    @property
    def etag(self) -> str:
        """Return what changes with all that is shown of it; it begins with the version."""
        return f"{self.version}.{self.touches}"


def new_room(name: str, description: str, *, by: str, at: datetime) -> Room:
    """Make a room with nobody but its owner in it."""
    return Room(
        room_id=new_id(),
        name=name,
        description=description,
        created_by=by,
        created_at=at,
        updated_at=at,
        revision=0,
        touches=0,
        members=1,
        files=0,
    )


def shown(room: Room) -> dict[str, Any]:
    """Return *room* as the API shows it."""
    return {
        "id": room.room_id,
        "name": room.name,
        "description": room.description,
        "created_by": room.created_by,
        "created_at": rfc3339(room.created_at),
        "updated_at": rfc3339(room.updated_at),
        "members": room.members,
        "files": room.files,
    }


def as_shown_when_new(body: Mapping[str, Any]) -> Room:
    """Return the new room of which the API showed *body*."""
    at = datetime.fromisoformat(body["created_at"])
    made = new_room(body["name"], body["description"], by=body["created_by"], at=at)
    return replace(made, room_id=body["id"])


def room_document(room: Room) -> dict[str, Any]:
    """Return a room that is active as MongoDB keeps it."""
    return {
        "_id": room.room_id,
        "name": room.name,
        "description": room.description,
        "created_by": room.created_by,
        "created_at": room.created_at,
        "updated_at": room.updated_at,
        "state": "active",
        "revision": room.revision,
        "touches": room.touches,
        "members": room.members,
        "files": room.files,
    }


def read_room(document: Mapping[str, Any]) -> Room:
    """Read MongoDB's *document*."""
    return Room(
        room_id=document["_id"],
        name=document["name"],
        description=document["description"],
        created_by=document["created_by"],
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        revision=document["revision"],
        touches=document["touches"],
        members=document["members"],
        files=document["files"],
    )


def active(room_id: str) -> dict[str, Any]:
    """Return the condition under which a room is there."""
    return {"_id": room_id, "state": "active"}


def find_room(scope: OrgScope, room_id: str) -> Room:
    """Return a room. Raises `NotFound`, also for one that is deleted."""
    found = scope[ROOMS].find_one(active(room_id))
    if found is None:
        raise NotFound(ABSENT)
    return read_room(found)


def revise(
    scope: OrgScope,
    room_id: str,
    *,
    at: datetime,
    revision: int | None,
    fields: Mapping[str, Any] | None = None,
    members: int = 0,
) -> Room:
    """Make the next revision of a room, in the transaction of *scope*; return the room as it is then.

    It has other *fields*, and so many *members* more. With *revision* it is made for that one only. Raises
    `NotFound`, or `Stale` for another revision.
    """
    same = active(room_id) | ({} if revision is None else {"revision": revision})
    update = {"$set": {**(fields or {}), "updated_at": at}, "$inc": {"revision": 1, "members": members}}
    found = scope[ROOMS].find_one_and_update(same, update, return_document=True)
    if found is None:
        find_room(scope, room_id)
        raise stale()
    return read_room(found)


def stale() -> Stale:
    """Return what is raised for another revision than the one that was meant."""
    return Stale("The room has changed since you read it. Read it again.")
