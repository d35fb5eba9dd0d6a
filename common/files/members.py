"""Who is in a room, and in which role: people, and API keys under the same kind of id.

Every change makes the next revision of the room in its own transaction, so that two at once meet there and happen
one after the other: the last owner stays, whatever is asked at the same moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.caller import Caller
from common.clock import Clock
from common.errors import Conflict, NotFound
from common.files import audit_log
from common.files.audit_log import entry_by
from common.files.collections import ROOM_MEMBERS
from common.files.rights import Operation, RoomRole, demand
from common.files.room import ABSENT, Room, find_room, revise, stale
from common.ids import OrgId, new_id
from common.tenancy.scope import OrgScope

MEMBERS_MOST = 1_000
_KEY = "key:"


@dataclass(frozen=True)
class Member:
    """Somebody in a room, with their role *since* then."""

    user_id: str
    role: RoomRole
    since: datetime


class Members:
    """The members of all rooms, each asked for with its organization."""

    def __init__(self, scope_of: Callable[[OrgId], OrgScope], clock: Clock) -> None:
        self._scope_of = scope_of
        self._clock = clock

    def page(self, org_id: OrgId, room_id: str, *, after: str, limit: int) -> list[Member]:
        """List up to *limit* members of a room, in the order of their ids, from *after* on."""
        where = {"room_id": room_id, "user_id": {"$gt": after}}
        found = self._scope_of(org_id)[ROOM_MEMBERS].find(where, sort=[("user_id", 1)], limit=limit)
        return [_read(one) for one in found]

    def put(
        self, who: Caller, room_id: str, user_id: str, role: RoomRole, *, revision: int | None
    ) -> tuple[Room, Member, RoomRole | None]:
        """Give somebody a role in a room; return the room and the member as they are then, and the role before.

        With *revision* for that one only. Raises `NotFound`, `Forbidden` if *who* may not, `Stale`, or `Conflict`
        for the last owner and for more than `MEMBERS_MOST`.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> tuple[Room, Member, RoomRole | None]:
            demand_here(scope, room_id, who, Operation.SET_MEMBER)
            was = _find(scope, room_id, user_id)
            if was is not None and was.role == role:
                return _unchanged(scope, room_id, revision), was, role
            room = revise(scope, room_id, at=at, revision=revision, members=0 if was else 1)
            if room.members > MEMBERS_MOST:
                raise Conflict(f"A room has at most {MEMBERS_MOST} members.")
            if was is None:
                scope[ROOM_MEMBERS].insert_one(member_document(room_id, user_id, role, at))
            else:
                _change(scope, room_id, user_id, {"role": role, "since": at})
                _keep_an_owner(scope, room_id, was)
            detail = {"role": role, "was": was.role if was else None}
            entry = entry_by(who, "member.set", room_id, at=at, subject_id=user_id, detail=detail)
            audit_log.append(scope, entry)
            return room, Member(user_id, role, at), was.role if was else None

        return self._scope_of(who.org_id).transaction(work)

    def remove(self, who: Caller, room_id: str, user_id: str, *, revision: int | None) -> None:
        """Take somebody out of a room; anybody may leave. Raises like `put`, `NotFound` for who is not in it."""
        at = self._clock.now()
        is_own = user_id == member_id(who.user_id)

        def work(scope: OrgScope) -> None:
            demand_here(scope, room_id, who, Operation.LEAVE_ROOM if is_own else Operation.REMOVE_MEMBER)
            was = _find(scope, room_id, user_id)
            if was is None:
                raise NotFound("This person is not in this room.")
            revise(scope, room_id, at=at, revision=revision, members=-1)
            scope[ROOM_MEMBERS].delete_one({"room_id": room_id, "user_id": user_id})
            _keep_an_owner(scope, room_id, was)
            detail = {"was": was.role}
            entry = entry_by(who, "member.removed", room_id, at=at, subject_id=user_id, detail=detail)
            audit_log.append(scope, entry)

        self._scope_of(who.org_id).transaction(work)


def member_id(user_id: str) -> str:
    """Return the id under which a caller is in rooms: a person's own, or an API key's."""
    return user_id.removeprefix(_KEY)


def member_document(room_id: str, user_id: str, role: RoomRole, at: datetime) -> dict[str, Any]:
    """Return a new member as MongoDB keeps it."""
    return {"_id": new_id(), "room_id": room_id, "user_id": user_id, "role": role, "since": at}


def role_of(scope: OrgScope, room_id: str, user_id: str) -> RoomRole | None:
    """Return the role of that person or API key in a room, or `None`; also of a room that is deleted."""
    found = scope[ROOM_MEMBERS].find_one({"room_id": room_id, "user_id": user_id}, projection={"role": 1})
    return found["role"] if found is not None else None


def demand_here(scope: OrgScope, room_id: str, who: Caller, operation: Operation) -> None:
    """Go on if *who* may do *operation* in a room, as its members are now. Raises `NotFound` or `Forbidden`."""
    role = role_of(scope, room_id, member_id(who.user_id))
    demand(role, operation, is_admin=who.role == "admin", absent=ABSENT)


def _find(scope: OrgScope, room_id: str, user_id: str) -> Member | None:
    found = scope[ROOM_MEMBERS].find_one({"room_id": room_id, "user_id": user_id})
    return _read(found) if found is not None else None


def _unchanged(scope: OrgScope, room_id: str, revision: int | None) -> Room:
    room = find_room(scope, room_id)
    if revision not in {None, room.revision}:
        raise stale()
    return room


def _change(scope: OrgScope, room_id: str, user_id: str, fields: Mapping[str, Any]) -> None:
    scope[ROOM_MEMBERS].update_one({"room_id": room_id, "user_id": user_id}, {"$set": fields})


def _keep_an_owner(scope: OrgScope, room_id: str, was: Member) -> None:
    """Refuse, in the transaction, what takes the last owner from a room."""
    owners = {"room_id": room_id, "role": "owner"}
    if was.role == "owner" and not scope[ROOM_MEMBERS].count_documents(owners, limit=1):
        raise Conflict("The last owner of a room can't be removed or given another role.")


def _read(document: Mapping[str, Any]) -> Member:
    return Member(user_id=document["user_id"], role=document["role"], since=document["since"])
