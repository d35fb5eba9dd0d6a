"""A batch of rows, each against what the ones before it left: decided purely; read before and written after."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from typing import Any

from common.ids import JobId, new_id
from common.tickets.counts import Counts
from common.tickets.fingerprints import fingerprint
from common.tickets.reading.rows import Refusal
from common.tickets.ticket import Ticket

BATCH_ROWS = 1_000
BATCH_BYTES = 512 * 1024
"""A batch is one transaction, in which each different word of a ticket is an entry of an index. The server takes
some 250,000 of them with a cache of 512 MB."""


@dataclass(frozen=True)
class Decision:
    """What a batch comes to: the tickets that are new or changed, one a key, and the counts."""

    rows: Sequence[Ticket]
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


def decide(tickets: Sequence[Ticket], known: Mapping[str, str], seen: AbstractSet[bytes]) -> Decision:
    """Go through *tickets* in their order, each against what the ones before it left.

    *known* is the content hash of those that are stored, by natural key. *seen* holds the fingerprints of earlier
    batches that may matter: those of tickets that are stored. The last row of a key wins; a field that it does not
    have stays as the row before it said.
    """
    current = dict(known)
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
        rows=list(wanted.values()),
        counts=Counts(rows=len(tickets), new=new, updated=updated, unchanged=unchanged, repeated=repeated),
    )


def _over(earlier: Ticket | None, later: Ticket) -> Ticket:
    return later if earlier is None else replace(later, fields={**earlier.fields, **later.fields})


def refused_documents(refusals: Iterable[Refusal], job_id: JobId) -> list[dict[str, Any]]:
    """Return the documents that keep *refusals*."""
    return [{"_id": new_id(), "job_id": job_id, **asdict(row)} for row in refusals]
