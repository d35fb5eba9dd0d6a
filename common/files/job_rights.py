"""Who may cancel and retry the jobs of a room: who may add files there. Other jobs are the organization's."""

from collections.abc import Mapping
from typing import Any

from common.errors import JobFailed
from common.files.members import member_id, role_of
from common.files.rights import Operation, demand
from common.files.room import ABSENT
from common.jobs.kind import KINDS, decode
from common.tenancy.scope import OrgScope


def room_of(kind: str, payload: Mapping[str, Any]) -> str | None:
    """Return the room that a job is of, or `None`."""
    known = KINDS.get(kind)
    if known is None or not payload:
        return None
    try:
        return decode(known, payload).room()
    except JobFailed:  # a payload of a version before: nobody can tell
        return None


def demand_to_change(
    scope: OrgScope, kind: str, payload: Mapping[str, Any], user_id: str, *, is_admin: bool
) -> None:
    """Go on if that person may cancel or retry the job. Raises `NotFound` or `Forbidden`."""
    room_id = room_of(kind, payload)
    if room_id is not None and not is_admin:
        role = role_of(scope, room_id, member_id(user_id))
        demand(role, Operation.ADD_FILE, is_admin=False, absent=ABSENT)
