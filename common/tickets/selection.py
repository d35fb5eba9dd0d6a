"""Which tickets are asked for, and in which order: the newest first, and of deleted ones the last deleted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from time import monotonic
from typing import Any

import pymongo
from pymongo import DESCENDING
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from common.errors import Unavailable
from common.tenancy.scope import OrgScope
from common.tickets.answers import Part, part_of
from common.tickets.collections import DELETED, LIVE, TICKETS
from common.tickets.words import Words, read_words, searched

SEARCH_S = 5.0
"""How long a list may search in the database, in seconds."""

RARE_MOST = 1_000
"""How many tickets have a word that is rare: so many are read and judged in a moment."""

_CANDIDATES = 5
_JUDGED_MOST = 1_000
_WHOLE = 20
"""How many whole tickets are fetched at once: of the largest they take some 30 MB."""

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
    external_id: str | None = None
    words: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    deleted: bool = False

    @property
    def order(self) -> Sequence[tuple[str, int]]:
        """Return the fields that the list is sorted by; the first one tells a ticket's place."""
        return ("deleted_at" if self.deleted else "created_at", DESCENDING), ("_id", DESCENDING)

    def where(self, before: Place | None = None, search: str | None = None) -> dict[str, Any]:
        """Return the condition for MongoDB, for tickets that come after *before* and that *search* finds."""
        conditions: list[dict[str, Any]] = [DELETED if self.deleted else LIVE]
        asked = {name: getattr(self, name) for name in _PLAIN}
        conditions.append({name: value for name, value in asked.items() if value is not None})
        if self.external_id is not None:  # by the key that an index has, together with the source's id
            conditions.append({"natural_key": f"id:{self.external_id}"})
        bounds = {"$gte": self.since, "$lt": self.until}
        conditions += [{"created_at": {operator: at}} for operator, at in bounds.items() if at is not None]
        if before is not None:  # bounds that an index takes, less the few of the same millisecond
            field = self.order[0][0]
            conditions.append({field: {"$lte": before.at}})
            conditions.append({"$nor": [{field: before.at, "_id": {"$gte": before.ticket_id}}]})
        found: dict[str, Any] = {"$and": [one for one in conditions if one]}
        return found | ({"$text": {"$search": search}} if search is not None else {})


def page(scope: OrgScope, asked: Selection, *, before: Place | None, limit: int) -> Part:
    """List up to *limit* tickets from *before* on, as MongoDB keeps them, and as many as an answer may hold.

    Raises `Unavailable` if that takes longer than `SEARCH_S`, and like `read_words`.
    """
    words = read_words(asked.words) if asked.words is not None else None
    ends_at = monotonic() + SEARCH_S
    try:
        with pymongo.timeout(SEARCH_S):
            if words is None:
                return part_of(scope[TICKETS].find(asked.where(before), sort=asked.order, limit=limit))
            having = _having(words, scope, asked, before=before, size=limit)
            return _whole(scope, asked, islice(_until(ends_at, having), limit))
    except (ExecutionTimeout, NetworkTimeout, TimeoutError) as error:
        raise Unavailable(
            "So many tickets can't be searched in time. Put a word into q that few of them have, or leave q out."
        ) from error


def _having(
    words: Words, scope: OrgScope, asked: Selection, *, before: Place | None, size: int
) -> Iterator[str | None]:
    """Go from page to page of what the database finds, which grow; give the id of each that has the words.

    For one that lacks them it gives `None`, so that whoever asks can stop at any ticket.
    """
    search, field = searched(_narrowest(scope, words)), asked.order[0][0]
    judged = {field: 1, "subject": 1, "message": 1}  # a ticket may be twenty times as large as its texts
    while True:
        read = 0
        last: dict[str, Any] = {}
        where = asked.where(before, search)
        for last in scope[TICKETS].find(where, projection=judged, sort=asked.order, limit=size):
            read += 1
            yield last["_id"] if words.are_in((last["subject"], last["message"])) else None
        if read < size:
            return
        before = Place(last[field], last["_id"])
        size = min(4 * size, _JUDGED_MOST)


def _until(ends_at: float, judged: Iterable[str | None]) -> Iterator[str]:
    """Give the ids among *judged*. Raises `TimeoutError` when it is later than *ends_at*."""
    for one in judged:
        if monotonic() > ends_at:  # judging takes time as well: MongoDB's own bound is not on that
            raise TimeoutError
        if one is not None:
            yield one


def _whole(scope: OrgScope, asked: Selection, ticket_ids: Iterable[str]) -> Part:
    """Return the tickets of these ids, in this order, as many as an answer may hold.

    One that was deleted, restored or removed meanwhile is none of them: then others may follow.
    """
    ids = list(ticket_ids)
    batches = (_at_once(scope, asked, ids[at : at + _WHOLE]) for at in range(0, len(ids), _WHOLE))
    part = part_of(chain.from_iterable(batches))
    return Part(part.documents, is_cut=len(part.documents) < len(ids))


def _at_once(scope: OrgScope, asked: Selection, ids: Sequence[str]) -> list[dict[str, Any]]:
    where = {"$and": [{"_id": {"$in": list(ids)}}, DELETED if asked.deleted else LIVE]}
    found = {one["_id"]: one for one in scope[TICKETS].find(where)}
    return [found[one] for one in ids if one in found]


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
