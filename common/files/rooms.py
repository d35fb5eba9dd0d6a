"""Rooms: made, found, changed and deleted; each change is one transaction with its entry in the audit log."""

from collections.abc import Callable

from common.errors import NotFound
from common.files.collections import ROOMS
from common.files.room import ABSENT, Room, active, find_room
from common.ids import OrgId
from common.tenancy.scope import OrgScope


def require_active(scope: OrgScope, room_id: str, *, files: int = 0) -> None:
    """Go on if the room is there, with *files* more in it, in the transaction of *scope*. Raises `NotFound`.

    It always writes, so that of this transaction and a deletion at the same moment one meets the other.
    """
    if not scope[ROOMS].update_one(active(room_id), {"$inc": {"files": files, "touches": 1}}):
        raise NotFound(ABSENT)


class Rooms:
    """The rooms of all organizations, each asked for with its organization."""

    def __init__(self, scope_of: Callable[[OrgId], OrgScope]) -> None:
        self._scope_of = scope_of

    def get(self, org_id: OrgId, room_id: str) -> Room:
        """Return a room. Raises `NotFound`, also for one that is deleted."""
        return find_room(self._scope_of(org_id), room_id)
