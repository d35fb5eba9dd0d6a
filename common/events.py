"""The record of what happened to an organization, its people and settings: append-only, numbered without a gap.

An event is written in the transaction of its change. Its number comes from one counter an organization, so that
whatever changes the same organization's people at the same time is done one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.client_session import ClientSession

from common.clock import Clock
from common.ids import OrgId, new_id
from common.tenancy.control import ControlPlane

EventType = Literal[
    "OrganizationCreated",
    "OrganizationUpdated",
    "OrganizationDeleted",
    "OrganizationRestored",
    "AdminCreated",
    "AdminLoggedIn",
    "UserCreated",
    "UserInvited",
    "UserJoined",
    "UserUpdated",
    "UserRemoved",
    "PasswordChanged",
    "PasswordResetIssued",
    "SessionsRevoked",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "OrganizationExported",
    "StorageWarning",
    "StorageFull",
    "UsageWarning",
    "CapacityWarning",
    "CapacityReached",
]
EVENTS_INDEXES: Sequence[IndexModel] = (
    IndexModel([("org_id", ASCENDING), ("number", ASCENDING)], unique=True, name="number"),
)


@dataclass(frozen=True)
class Event:
    """One thing that happened; *number* counts from 1 in its organization, *actor* is who did it."""

    number: int
    type: str
    at: datetime
    actor: str
    data: Mapping[str, Any]


def append(
    control: ControlPlane,
    session: ClientSession,
    clock: Clock,
    org_id: OrgId,
    event: EventType,
    *,
    actor: str,
    data: Mapping[str, Any],
) -> int:
    """Write an event in the transaction of *session*; return its number."""
    counter: Any = control.event_numbers.find_one_and_update(
        {"_id": org_id},
        {"$inc": {"last": 1}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    number = int(counter["last"])
    control.events.insert_one(
        {
            "_id": new_id(),
            "org_id": org_id,
            "number": number,
            "type": event,
            "at": clock.now(),
            "actor": actor,
            "data": dict(data),
        },
        session=session,
    )
    return number


def page(control: ControlPlane, org_id: OrgId, *, after: int, limit: int) -> list[Event]:
    """Return up to *limit* events with a number above *after*, in their order."""
    found = control.events.find({"org_id": {"$eq": org_id}, "number": {"$gt": after}}).sort("number", 1)
    return [Event(one["number"], one["type"], one["at"], one["actor"], one["data"]) for one in found.limit(limit)]
