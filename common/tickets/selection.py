"""Which tickets are asked for, and in which order: the newest first, and of deleted ones the last deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from pymongo import DESCENDING
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from common.errors import Unavailable
from common.tenancy.scope import OrgScope
from common.tickets.collections import DELETED, LIVE, TICKETS
from common.tickets.words import Words, read_words, searched

SEARCH_S = 5.0
"""How long a list may search in the database, in seconds."""

RARE_MOST = 1_000
"""How many tickets have a word that is rare: so many are read and judged in a moment."""

_CANDIDATES = 5
_JUDGED_MOST = 1_000

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

    external_id: str | None = None
    @property
    def order(self) -> Sequence[tuple[str, int]]:
        """Return the fields that the list is sorted by; the first one tells a ticket's place."""
        return ("deleted_at" if self.deleted else "created_at", DESCENDING), ("_id", DESCENDING)

    def where(self, before: Place | None = None, search: str | None = None) -> dict[str, Any]:
        """Return the condition for MongoDB, for tickets that come after *before* and that *search* finds."""
        conditions: list[dict[str, Any]] = [DELETED if self.deleted else LIVE]
        asked = {name: getattr(self, name) for name in _PLAIN}
        conditions.append({name: value for name, value in asked.items() if value is not None})
        bounds = {"$gte": self.since, "$lt": self.until}
        conditions += [{"created_at": {operator: at}} for operator, at in bounds.items() if at is not None]
        if before is not None:  # bounds that an index takes, less the few of the same millisecond
            field = self.order[0][0]
            conditions.append({field: {"$lte": before.at}})
        if self.external_id is not None:  # by the key that an index has, together with the source's id
            conditions.append({"natural_key": f"id:{self.external_id}"})
            conditions.append({"$nor": [{field: before.at, "_id": {"$gte": before.ticket_id}}]})
        found: dict[str, Any] = {"$and": [one for one in conditions if one]}
        return found | ({"$text": {"$search": search}} if search is not None else {})


def page(scope: OrgScope, asked: Selection, *, before: Place | None, limit: int) -> list[dict[str, Any]]:
    """List up to *limit* tickets from *before* on, as MongoDB keeps them.

    Raises `Unavailable` if that takes longer than `SEARCH_S`, and like `read_words`.
    """
    words = read_words(asked.words) if asked.words is not None else None
    try:
        with pymongo.timeout(SEARCH_S):
            if words is None:
                return _query(scope, asked.where(before), asked.order, limit)
            return _having(words, scope, asked, before=before, limit=limit)
    except (ExecutionTimeout, NetworkTimeout) as error:
        raise Unavailable(
            "So many tickets can't be searched in time. Put a word into q that few of them have, or leave q out."
        ) from error


def _having(
    words: Words, scope: OrgScope, asked: Selection, *, before: Place | None, limit: int
) -> list[dict[str, Any]]:
    """Go from page to page of what the database finds, which grow, until there are enough that have the words."""
    search, field = searched(_narrowest(scope, words)), asked.order[0][0]
    found: list[dict[str, Any]] = []
    size = limit
    while True:
        some = _query(scope, asked.where(before, search), asked.order, size)
        found += [one for one in some if words.are_in((one["subject"], one["message"]))]
        if len(some) < size or len(found) >= limit:
            return found[:limit]
        before = Place(some[-1][field], some[-1]["_id"])
        size = min(4 * size, _JUDGED_MOST)


def _query(
    scope: OrgScope, where: Mapping[str, Any], order: Sequence[tuple[str, int]], limit: int
) -> list[dict[str, Any]]:
    return list(scope[TICKETS].find(where, sort=order, limit=limit))


def _narrowest(scope: OrgScope, words: Words) -> str:
    """Return the word that the fewest tickets have, as far as that is soon known.

    That costs some reads for each of the longest words, until one of them turns out to be rare.
    """
    candidates = words.single[:_CANDIDATES]
    if len(candidates) > 1:
        for word in candidates:
            found = {"$text": {"$search": searched(word)}}
            if scope[TICKETS].count_documents(found, limit=RARE_MOST) < RARE_MOST:
                return word
    return candidates[0]
