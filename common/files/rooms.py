"""Rooms: made, found, changed and deleted; each change is one transaction with its entry in the audit log."""

from collections.abc import Callable, Mapping

from common.caller import Caller
from common.clock import Clock
from common.errors import Conflict, NotFound
from common.files import audit_log
from common.files.audit_log import Entry, entry_by
from common.files.collections import AUDIT_LOG, ROOM_MEMBERS, ROOMS
from common.files.delete_room import DeleteRoom
from common.files.members import demand_here, member_document, member_id
from common.files.rights import Operation, RoomRole
from common.files.room import (
    ABSENT,
    Room,
    active,
    as_shown_when_new,
    find_room,
    new_room,
    read_room,
    revise,
    room_document,
    stale,
)
from common.ids import OrgId
from common.jobs.idempotency import AlreadyAnswered, Once, do_once
from common.jobs.record import JobRecord
from common.jobs.submit import Submitter
from common.tenancy.control import ControlPlane
from common.tenancy.scope import OrgScope

ROOMS_MOST = 10_000


class Rooms:
    """The rooms of all organizations, each asked for with its organization."""

    def __init__(
        self, control: ControlPlane, scope_of: Callable[[OrgId], OrgScope], submitter: Submitter, clock: Clock
    ) -> None:
        self._control = control
        self._scope_of = scope_of
        self._submitter = submitter
        self._clock = clock

    def create(self, who: Caller, name: str, description: str, *, once: Once | None = None) -> Room:
        """Make a room, whose first owner is *who*. Raises `Conflict` where there are as many as may be.

        The answer that *once* makes of a room shows at least what `shown` does. For a used key it raises whatever
        `do_once` does.
        """
        room = new_room(name, description, by=who.user_id, at=self._clock.now())
        if once is None:
            self._make(who, room)
            return room
        # Keys are kept in the control plane and rooms in their organization's database, and no transaction spans
        # both. So the answer is kept first, which all of a new room can be read from. Whoever is cut off after
        # that, or refused, finds it when repeating the request, and makes that very room, unless it was made. The
        # other way round, a room would have to be found by its key, and its id could not tell when it was made.
        control = self._control
        try:
            do_once(control.idempotency, once, self._clock.now, lambda _: room, control.transaction)
        except AlreadyAnswered as replay:
            self._make(who, as_shown_when_new(replay.answer.body))
            raise
        self._make(who, room)
        return room

    def get(self, org_id: OrgId, room_id: str) -> Room:
        """Return a room. Raises `NotFound`, also for one that is deleted."""
        return find_room(self._scope_of(org_id), room_id)

    def page(
        self, org_id: OrgId, user_id: str, *, before: str | None, limit: int
    ) -> list[tuple[Room, RoomRole | None]]:
        """List up to *limit* rooms that somebody is in, with their role there, the newest first."""
        scope = self._scope_of(org_id)
        found: list[tuple[Room, RoomRole | None]] = []
        while len(found) < limit:
            where = {"user_id": member_id(user_id), **({} if before is None else {"room_id": {"$lt": before}})}
            mine = list(scope[ROOM_MEMBERS].find(where, sort=[("room_id", -1)], limit=limit))
            there = _these(scope, [one["room_id"] for one in mine])
            found += [(there[one["room_id"]], one["role"]) for one in mine if one["room_id"] in there]
            if len(mine) < limit:
                break
            before = mine[-1]["room_id"]  # some of them were deleted, and are not emptied yet
        return found[:limit]

    def page_of_all(
        self, org_id: OrgId, user_id: str, *, before: str | None, limit: int
    ) -> list[tuple[Room, RoomRole | None]]:
        """List up to *limit* rooms of the organization, with the role of somebody there, the newest first."""
        scope = self._scope_of(org_id)
        where = {"state": "active", **({} if before is None else {"_id": {"$lt": before}})}
        rooms = [
            read_room(one) for one in scope[ROOMS].find(where, sort=[("_id", -1)], limit=limit, hint="newest")
        ]
        mine = {"user_id": member_id(user_id), "room_id": {"$in": [one.room_id for one in rooms]}}
        roles = {one["room_id"]: one["role"] for one in scope[ROOM_MEMBERS].find(mine)}
        return [(one, roles.get(one.room_id)) for one in rooms]

    def change(self, who: Caller, room_id: str, fields: Mapping[str, str], *, revision: int | None) -> Room:
        """Give a room another *name* or *description*; with *revision* to that one only.

        Raises `NotFound`, `Forbidden` if *who* may not, or `Stale`.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> Room:
            demand_here(scope, room_id, who, Operation.CHANGE_ROOM)
            was = find_room(scope, room_id)
            if revision not in {None, was.revision}:
                raise stale()
            changes = {name: value for name, value in fields.items() if value != getattr(was, name)}
            if not changes:
                return was
            told = {name: {"old": getattr(was, name), "new": value} for name, value in changes.items()}
            audit_log.append(scope, entry_by(who, "room.changed", room_id, at=at, detail={"changes": told}))
            return revise(scope, room_id, at=at, revision=was.revision, fields=changes)

        return self._scope_of(who.org_id).transaction(work)

    def delete(self, who: Caller, room_id: str) -> JobRecord:
        """Delete a room: nobody finds it from now on, and a job empties it. Raises like `Submitter.submit`.

        The job is accepted first: from then on the room goes, also if nobody comes to mark it here.
        """
        record = self._submitter.submit(who, DeleteRoom(room_id=room_id))
        entry = entry_by(who, "room.deleted", room_id, at=self._clock.now(), job_id=record.id)
        mark_deleted(self._scope_of(who.org_id), entry)
        return record

    def _make(self, who: Caller, room: Room) -> None:
        """Make *room* with its owner, unless it was made before; then it stays as it is, also deleted."""

        def work(scope: OrgScope) -> None:
            if _was_made(scope, room.room_id):
                return
            _bound(scope)
            scope[ROOMS].insert_one(room_document(room))
            owner = member_document(room.room_id, member_id(room.created_by), "owner", room.created_at)
            scope[ROOM_MEMBERS].insert_one(owner)
            detail = {"name": room.name}
            audit_log.append(scope, entry_by(who, "room.created", room.room_id, at=room.created_at, detail=detail))

        self._scope_of(who.org_id).transaction(work)


def require_active(scope: OrgScope, room_id: str, *, files: int = 0) -> None:
    """Go on if the room is there, with *files* more in it, in the transaction of *scope*. Raises `NotFound`.

    It always writes, so that of this transaction and a deletion at the same moment one meets the other.
    """
    if not scope[ROOMS].update_one(active(room_id), {"$inc": {"files": files, "touches": 1}}):
        raise NotFound(ABSENT)


def mark_deleted(scope: OrgScope, entry: Entry) -> bool:
    """Delete the room of *entry*, `room.deleted`, and write that down; tell whether it was there till now."""

    def work(inner: OrgScope) -> bool:
        update = {"$set": {"state": "deleted", "deleted_at": entry.at}, "$inc": {"revision": 1}}
        if entry.room_id is None or not inner[ROOMS].update_one(active(entry.room_id), update):
            return False
        audit_log.append(inner, entry)
        return True

    return scope.transaction(work)


def _these(scope: OrgScope, room_ids: list[str]) -> dict[str, Room]:
    found = scope[ROOMS].find({"_id": {"$in": room_ids}, "state": "active"}) if room_ids else ()
    return {one["_id"]: read_room(one) for one in found}


def _was_made(scope: OrgScope, room_id: str) -> bool:
    """Tell whether there was such a room at any time: what the audit log says stays when the room goes."""
    made = {"room_id": room_id, "action": "room.created"}
    return scope[AUDIT_LOG].find_one(made, projection={"_id": 1}) is not None


def _bound(scope: OrgScope) -> None:
    """Refuse, in the transaction, one room too many.

    Each creation moves the newest room that it sees, so that those of an organization at the same moment meet
    there and happen one after the other: the last one is the last, however many are asked for.
    """
    for newest in scope[ROOMS].find({}, sort=[("_id", -1)], limit=1, projection={"_id": 1}):
        scope[ROOMS].update_one({"_id": newest["_id"]}, {"$inc": {"successors": 1}})
    if scope[ROOMS].count_documents({"state": "active"}, limit=ROOMS_MOST) >= ROOMS_MOST:
        raise Conflict(f"An organization has at most {ROOMS_MOST} rooms. Delete one first.")
