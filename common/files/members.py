"""Who is in a room, and in which role."""

from common.files.collections import ROOM_MEMBERS
from common.files.rights import RoomRole
from common.tenancy.scope import OrgScope

_KEY = "key:"


def member_id(user_id: str) -> str:
    """Return the id under which a caller is in rooms: a person's own, or an API key's."""
    return user_id.removeprefix(_KEY)


def role_of(scope: OrgScope, room_id: str, user_id: str) -> RoomRole | None:
    """Return the role of that person or API key in a room, or `None`; also of a room that is deleted."""
    found = scope[ROOM_MEMBERS].find_one({"room_id": room_id, "user_id": user_id}, projection={"role": 1})
    return found["role"] if found is not None else None
