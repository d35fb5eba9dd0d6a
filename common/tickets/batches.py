"""A batch of rows against what is stored: decided in the middle, purely; read before and written after."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pymongo.errors import BulkWriteError

from common.ids import JobId, new_id
from common.tenancy.scope import OrgScope
from common.tickets.collections import REFUSED_ROWS, TICKETS
from common.tickets.counts import Counts
from common.tickets.fingerprints import fingerprint
from common.tickets.reading.rows import Refusal
from common.tickets.ticket import Ticket, document

BATCH_ROWS = 1_000
BATCH_BYTES = 4 * 1024 * 1024
_DUPLICATE_KEY = 11000


class Overtaken(Exception):
    """Somebody else changed a ticket between our reading and our writing; nothing was written."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a ticket that is there."""

    id: str
    content_hash: str


@dataclass(frozen=True)
class Decision:
    """What a batch comes to: tickets that are new, those that replace a stored one, and the counts."""

    new: Sequence[Ticket]
    changed: Sequence[tuple[Stored, Ticket]]
    counts: Counts


def in_batches(rows: Iterable[Ticket | Refusal]) -> Iterator[list[Ticket | Refusal]]:
    """Cut *rows* into batches that are bounded in rows and in bytes."""
    batch: list[Ticket | Refusal] = []
    size_bytes = 0
    for row in rows:
        batch.append(row)
        size_bytes += row.size_bytes if isinstance(row, Ticket) else 0
        if len(batch) >= BATCH_ROWS or size_bytes >= BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def find_stored(scope: OrgScope, source_id: str, tickets: Iterable[Ticket]) -> dict[str, Stored]:
    """Return by natural key those of *tickets* that are there already; one query."""
    keys = list({ticket.natural_key for ticket in tickets})
    found = scope[TICKETS].find(
        {"source_id": source_id, "natural_key": {"$in": keys}}, projection={"natural_key": 1, "content_hash": 1}
    )
    return {one["natural_key"]: Stored(one["_id"], one["content_hash"]) for one in found}


def decide(tickets: Sequence[Ticket], stored: Mapping[str, Stored], seen: AbstractSet[bytes]) -> Decision:
    """Go through *tickets* in their order, each against what the ones before it left.

    *seen* holds the fingerprints of earlier batches that may matter: those of tickets that are stored.
    The last row of a key wins; a field that it does not have stays as the row before it said.
    """
    current = {key: one.content_hash for key, one in stored.items()}
    wanted: dict[str, Ticket] = {}
    here: set[bytes] = set()
    new = updated = unchanged = repeated = 0
    for ticket in tickets:
        key, print_ = ticket.natural_key, fingerprint(ticket)
        before = current.get(key)
        if before == ticket.content_hash:
            is_repeated = print_ in here or print_ in seen
            repeated, unchanged = repeated + is_repeated, unchanged + (not is_repeated)
        else:
            new, updated = new + (before is None), updated + (before is not None)
            current[key] = ticket.content_hash
            wanted[key] = _over(wanted.get(key), ticket)
        here.add(print_)
    return Decision(
        new=[ticket for key, ticket in wanted.items() if key not in stored],
        changed=[(stored[key], ticket) for key, ticket in wanted.items() if key in stored],
        counts=Counts(rows=len(tickets), new=new, updated=updated, unchanged=unchanged, repeated=repeated),
    )


def _over(earlier: Ticket | None, later: Ticket) -> Ticket:
    return later if earlier is None else replace(later, fields={**earlier.fields, **later.fields})


def new_documents(decision: Decision, *, source_id: str, now: datetime) -> list[dict[str, Any]]:
    """Return the documents of the new tickets, with their ids: made once, however often they are written."""
    return [document(ticket, source_id=source_id, now=now) for ticket in decision.new]


def refused_documents(refusals: Iterable[Refusal], job_id: JobId) -> list[dict[str, Any]]:
    """Return the documents that keep *refusals*."""
    return [
        {"_id": new_id(), "job_id": job_id, "line": row.line, "column": row.column, "reason": row.reason}
        for row in refusals
    ]


def write(
    scope: OrgScope,
    decision: Decision,
    documents: Sequence[Mapping[str, Any]],
    refused: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
) -> None:
    """Write a decision; call it in a transaction.

    Raises `Overtaken` if what it was decided on is no longer so.
    """
    if documents:
        _insert(scope, documents)
    if decision.changed:
        changes = [_change(stored, ticket, now) for stored, ticket in decision.changed]
        if scope[TICKETS].update_each(changes) != len(changes):
            raise Overtaken
    if refused:
        scope[REFUSED_ROWS].insert_many(refused)


def _insert(scope: OrgScope, documents: Sequence[Mapping[str, Any]]) -> None:
    try:
        scope[TICKETS].insert_many(documents)
    except BulkWriteError as error:
        if any(one["code"] == _DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise Overtaken from error
        raise


def _change(stored: Stored, ticket: Ticket, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {"_id": stored.id, "content_hash": stored.content_hash},
        {"$set": {**ticket.fields, "content_hash": ticket.content_hash, "updated_at": now}},
    )
