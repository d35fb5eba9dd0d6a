"""Rooms: made, changed and deleted, who is in them, and who did what there."""

from collections.abc import Iterator

from fairway.calls import Calls
from fairway.errors import Problem
from fairway.file_models import AuditLogEntry, Room, RoomMember, RoomRole
from fairway.models import Job

STALE = 412
TRIES = 10
"""How often a change is made anew because somebody else's came between."""


class Rooms(Calls):
    """The operations on rooms."""

    def make_room(self, name: str, *, description: str = "", key: str | None = None) -> Room:
        """Make a room, and be its owner."""
        asked = {"name": name, "description": description}
        return Room.read(self._start("/v1/rooms", key, json=asked))

    def rooms(self, *, all: bool = False) -> Iterator[Room]:  # noqa: A002 (as the parameter is called)
        """Go through the rooms that one is in, the newest first; an admin may ask for *all* of them."""
        return self._pages("/v1/rooms", Room.read, all=all or None)

    def room(self, room_id: str) -> Room:
        """Return a room."""
        return Room.read(self._transport.ask("GET", f"/v1/rooms/{room_id}").json())

    def change_room(self, room_id: str, **changes: str) -> Room:
        """Change a room's `name` or `description`."""
        return Room.read(self._transport.ask("PATCH", f"/v1/rooms/{room_id}", json=changes).json())

    def delete_room(self, room_id: str) -> Job:
        """Delete a room: nobody sees it from now on, and the job takes its files and people out of it."""
        return Job.read(self._transport.ask("DELETE", f"/v1/rooms/{room_id}").json())

    def members(self, room_id: str) -> Iterator[RoomMember]:
        """Go through who is in a room."""
        return self._pages(f"/v1/rooms/{room_id}/members", RoomMember.read)

    def set_member(self, room_id: str, user_id: str, role: RoomRole) -> RoomMember:
        """Give a person or an API key a role in a room, whatever else changes in it at the same time."""
        for _ in range(TRIES - 1):
            try:
                return self._put_member(room_id, user_id, role)
            except Problem as problem:
                if problem.status != STALE:
                    raise
        return self._put_member(room_id, user_id, role)

    def remove_member(self, room_id: str, user_id: str) -> None:
        """Take somebody out of a room, or leave it."""
        self._transport.ask("DELETE", f"/v1/rooms/{room_id}/members/{user_id}")

    def audit_log(
        self,
        *,
        room_id: str | None = None,
        action: str | None = None,
        actor_id: str | None = None,
        done_from: str | None = None,
        done_to: str | None = None,
    ) -> Iterator[AuditLogEntry]:
        """Go through who did what, the newest first; who is no admin names a room of their own."""
        which = {"room_id": room_id, "action": action, "actor_id": actor_id, "from": done_from, "to": done_to}
        return self._pages("/v1/audit-log", AuditLogEntry.read, **which)

    def _put_member(self, room_id: str, user_id: str, role: RoomRole) -> RoomMember:
        version = self._transport.ask("GET", f"/v1/rooms/{room_id}").headers["ETag"]
        path, headers = f"/v1/rooms/{room_id}/members/{user_id}", {"If-Match": version}
        return RoomMember.read(self._transport.ask("PUT", path, headers=headers, json={"role": role}).json())
