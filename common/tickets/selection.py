"""Which tickets are asked for, and in which order: the newest first, and of deleted ones the last deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.errors import ExecutionTimeout

from common.errors import Unavailable
from common.tenancy.scope import OrgScope
from common.tickets.collections import DELETED, LIVE, TICKETS
from common.tickets.words import sought

SEARCH_MS = 5_000
"""How long a list may search in the database, in milliseconds."""

_PLAIN = ("status", "urgency", "sentiment", "requires_action", "source_id")


@dataclass(frozen=True)
class Place:
    """Where a ticket stands in a list: when it was made, or deleted in the list of those, and its id."""

    at: datetime
    ticket_id: str


@dataclass(frozen=True)
class Selection:
    """Which tickets are asked for; *since* is included, *until* is not, and both are about `created_at`."""

    status: str | None = None
    urgency: str | None = None
    sentiment: str | None = None
    requires_action: bool | None = None
    source_id: str | None = None
    words: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    deleted: bool = False

    @property
    def order(self) -> Sequence[tuple[str, int]]:
        """Return the fields that the list is sorted by; the first one tells a ticket's place."""
        return ("deleted_at" if self.deleted else "created_at", DESCENDING), ("_id", DESCENDING)

    def where(self, before: Place | None = None) -> dict[str, Any]:
        """Return the condition for MongoDB, for tickets that come after *before*. Raises like `sought`."""
        conditions: list[dict[str, Any]] = [DELETED if self.deleted else LIVE]
        asked = {name: getattr(self, name) for name in _PLAIN}
        conditions.append({name: value for name, value in asked.items() if value is not None})
        bounds = {"$gte": self.since, "$lt": self.until}
        conditions += [{"created_at": {operator: at}} for operator, at in bounds.items() if at is not None]
        if before is not None:  # bounds that an index takes, less the few of the same millisecond
            field = self.order[0][0]
            conditions.append({field: {"$lte": before.at}})
            conditions.append({"$nor": [{field: before.at, "_id": {"$gte": before.ticket_id}}]})
        found: dict[str, Any] = {"$and": [one for one in conditions if one]}
        return found | ({"$text": {"$search": sought(self.words)}} if self.words is not None else {})


def page(scope: OrgScope, asked: Selection, *, before: Place | None, limit: int) -> list[dict[str, Any]]:
    """List up to *limit* tickets from *before* on, as MongoDB keeps them.

    Raises `Unavailable` if that takes longer than five seconds, and like `sought`.
    """
    try:
        return list(scope[TICKETS].find(asked.where(before), sort=asked.order, limit=limit, max_time_ms=SEARCH_MS))
    except ExecutionTimeout as error:
        raise Unavailable(
            "So many tickets can't be searched in time. Leave out of q what is in most of them, or ask for a "
            "source, a status or an urgency that fewer have."
        ) from error
