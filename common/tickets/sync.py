"""A page of a source's records against what is stored: what is new, changed, back or gone.

Which records differ is told from an index alone; only they are made into tickets, and only the stored ones of them
are read. A page costs one look-up, one read of what changed, and one write of each sort.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from common.errors import JobFailed
from common.ids import JobId
from common.tenancy.scope import OrgScope
from common.tickets import tombstones
from common.tickets.collections import TICKETS
from common.tickets.counting.delta import Change, delta_of
from common.tickets.counting.facts import FIELDS
from common.tickets.history import entry
from common.tickets.reading.rows import Refusal
from common.tickets.revising import GONE, Revision, delete, first, is_gone, revise
from common.tickets.ticket import Ticket
from common.tickets.tombstones import Tombstone
from common.tickets.writing import Overtaken, Plan, Tally

__all__ = ["GONE", "Incoming", "Overtaken", "Plan", "Tally", "look_up", "plan", "plan_gone", "plan_rows"]

STORED_MAX_CHARS = 64_000_000
"""What a page may change: history keeps all that was, in the transaction that a page is."""

_FOR_DELETION = ("natural_key", "content_hash", "revision", *FIELDS)


class Incoming(NamedTuple):  # one for every record, changed or not: a frozen dataclass takes twice as long to make
    """A record as it was read: whose it is, a hash of all that matters of it, and when its source changed it."""

    natural_key: str
    content_hash: str
    raw: Any
    changed_at: datetime | None


def look_up(scope: OrgScope, source_id: str, keys: Iterable[str]) -> dict[str, str]:
    """Return by natural key the content hash of those that are stored; from the index, no document is read."""
    found = scope[TICKETS].find_all(
        {"source_id": source_id, "natural_key": {"$in": list(keys)}},
        projection={"_id": 0, "natural_key": 1, "content_hash": 1},
        hint="content",
    )
    return {one["natural_key"]: one["content_hash"] for one in found}


def plan(
    scope: OrgScope,
    *,
    source_id: str,
    incoming: Sequence[Incoming],
    make: Callable[[Incoming], Ticket | Refusal],
    job_id: JobId,
    now: datetime,
) -> Plan:
    """Return what *incoming* comes to; *make* is called for those only that are new or changed.

    Of records with the same key the newest counts, or else the last.
    """
    latest = _latest(incoming)
    known = look_up(scope, source_id, latest)
    differing = [one for key, one in latest.items() if known.get(key) != one.content_hash]
    stones = tombstones.find(
        scope, source_id, [one.natural_key for one in differing if one.natural_key not in known]
    )
    wanted = [one for one in differing if not _stays_deleted(stones, one.natural_key)]
    made = [make(one) for one in wanted]
    rows = [_keyed(one, row) for one, row in zip(wanted, made, strict=True) if isinstance(row, Ticket)]
    refusals = [row for row in made if isinstance(row, Refusal)]
    found = plan_rows(scope, rows, known, stones, source_id=source_id, job_id=job_id, now=now)
    counts = Tally(
        unchanged=len(latest) - len(wanted), repeated=len(incoming) - len(latest), refused=len(refusals)
    )
    return replace(found, counts=found.counts + counts, refusals=refusals)


def plan_rows(
    scope: OrgScope,
    rows: Sequence[Ticket],
    known: Mapping[str, str],
    stones: Mapping[str, Tombstone],
    *,
    source_id: str,
    job_id: JobId,
    now: datetime,
) -> Plan:
    """Return what *rows*, one a key, come to: those with a *known* hash are changes of the ticket that has it."""
    stored = _read(scope, source_id, [row.natural_key for row in rows if row.natural_key in known])
    if any(stored.get(row.natural_key, {}).get("content_hash") != known.get(row.natural_key) for row in rows):
        return Plan(is_overtaken=True)
    revisions = [
        revise(stored[row.natural_key], row, job_id=job_id, now=now) for row in rows if row.natural_key in known
    ]
    new = [
        first(row, source_id=source_id, now=now, stone=stones.get(row.natural_key))
        for row in rows
        if row.natural_key not in known
    ]
    back = [stones[row.natural_key].ticket_id for row in rows if row.natural_key in stones]
    changed = _of(revisions, [(None, one) for one in new])
    return replace(
        changed,
        counts=changed.counts + Tally(new=len(new) - len(back), returned=len(back)),
        inserts=new,
        history=[*changed.history, *(entry(one, "returned", {}, at=now, job_id=job_id) for one in back)],
        risen=[*changed.risen, *back],
    )


def plan_gone(
    scope: OrgScope,
    *,
    source_id: str,
    keys: Iterable[str],
    job_id: JobId,
    now: datetime,
    kept_for: timedelta,
) -> Plan:
    """Return what becomes of tickets whose records are gone: deleted, and for good after *kept_for*."""
    stored = _read(scope, source_id, list(keys), _FOR_DELETION)
    return _of(
        [
            delete(one, job_id=job_id, now=now, kept_for=kept_for)
            for one in stored.values()
            if not is_gone(one["content_hash"])
        ]
    )


def _latest(incoming: Iterable[Incoming]) -> dict[str, Incoming]:
    latest: dict[str, Incoming] = {}
    for one in incoming:
        other = latest.get(one.natural_key)
        if (
            other is None
            or other.changed_at is None
            or one.changed_at is None
            or one.changed_at >= other.changed_at
        ):
            latest[one.natural_key] = one
    return latest


def _stays_deleted(stones: Mapping[str, Tombstone], key: str) -> bool:
    return key in stones and stones[key].is_by_hand


def _keyed(one: Incoming, row: Ticket) -> Ticket:
    return replace(row, natural_key=one.natural_key, content_hash=one.content_hash)


def _read(
    scope: OrgScope, source_id: str, keys: Sequence[str], projection: Any = None
) -> dict[str, dict[str, Any]]:
    if not keys:
        return {}
    where = {"source_id": source_id, "natural_key": {"$in": keys}}
    if projection is not None:
        return {one["natural_key"]: one for one in scope[TICKETS].find_all(where, projection=projection)}
    found: dict[str, dict[str, Any]] = {}
    chars = 0
    for one in scope[TICKETS].find(where):
        chars += _chars(one)
        if chars > STORED_MAX_CHARS:
            raise JobFailed(
                "So many changes of such large tickets can't be written at once. Ask for smaller pages.",
                code="page-too-large",
            )
        found[one["natural_key"]] = one
    return found


def _chars(stored: Mapping[str, Any]) -> int:
    attributes = (stored.get("attributes") or {}).values()
    return len(stored["message"]) + sum(len(value) for value in attributes if isinstance(value, str))


def _of(revisions: Sequence[Revision], more: Iterable[Change] = ()) -> Plan:
    counts = {
        what: sum(one.what == what for one in revisions)
        for what in ("updated", "unchanged", "returned", "deleted")
    }
    return Plan(
        counts=Tally(**counts),
        updates=[one.update for one in revisions],
        history=[one.entry for one in revisions if one.entry is not None],
        buried=[one.buried for one in revisions if one.buried is not None],
        risen=[one.update[0]["_id"] for one in revisions if one.what == "returned"],
        delta=delta_of([*(one.change for one in revisions if one.change is not None), *more]),
    )
