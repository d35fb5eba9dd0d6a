"""What is left of a deleted ticket once it is gone for good: its id, so that its record finds its history again.

A tombstone is laid with the deletion and taken away with the return. While the ticket is still there it says
nothing that the ticket does not say better.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.tenancy.scope import OrgScope
from common.tickets.collections import TOMBSTONES

BY_SOURCE = "source"
"""Who deleted a ticket whose record is gone from its source; else it is whoever did it by hand."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A ticket that may be gone, and who deleted it."""

    ticket_id: str
    natural_key: str
    deleted_by: str
    revision: int

    @property
    def is_by_hand(self) -> bool:
        """Tell whether the record stays deleted, whatever its source says."""
        return self.deleted_by != BY_SOURCE


def tombstone(ticket: Mapping[str, Any], *, deleted_by: str, at: datetime) -> dict[str, Any]:
    """Return the tombstone of the stored *ticket*."""
    return {
        "_id": ticket["_id"],
        "source_id": ticket["source_id"],
        "natural_key": ticket["natural_key"],
        "deleted_at": at,
        "deleted_by": deleted_by,
        "revision": (ticket.get("revision") or 0) + 1,
    }


def lay(scope: OrgScope, stones: Sequence[Mapping[str, Any]]) -> None:
    """Lay *stones*, each in place of one that is there; call it in the transaction that deletes."""
    if stones:
        take_away(scope, [one["_id"] for one in stones])
        scope[TOMBSTONES].insert_many(stones)


def take_away(scope: OrgScope, ticket_ids: Iterable[str]) -> None:
    """Take away the tombstones of tickets that are back; call it in the transaction that brings them back."""
    scope[TOMBSTONES].delete_many({"_id": {"$in": list(ticket_ids)}})


def find(scope: OrgScope, source_id: str, natural_keys: Iterable[str]) -> dict[str, Tombstone]:
    """Return by natural key the tombstones of records; of a source that has none, in one small question."""
    keys = list(natural_keys)
    stones = scope[TOMBSTONES]
    if not keys or next(stones.find({"source_id": source_id}, projection={"_id": 1}, limit=1), None) is None:
        return {}
    found = stones.find({"source_id": source_id, "natural_key": {"$in": keys}})
    return {
        one["natural_key"]: Tombstone(one["_id"], one["natural_key"], one["deleted_by"], one["revision"])
        for one in found
    }
