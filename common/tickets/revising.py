"""A record against the ticket that is stored: what is set, what is computed again, what history keeps. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from common.ids import JobId
from common.tickets.classifying.classifier import VERSION, classify
from common.tickets.classifying.keywords import keywords
from common.tickets.counting.delta import Change
from common.tickets.history import differences, entry
from common.tickets.responding import answered
from common.tickets.ticket import Ticket, document
from common.tickets.tombstones import BY_SOURCE, Tombstone, tombstone
from common.tickets.writing import Update

COMPUTED = ("urgency", "sentiment", "requires_action")
"""The fields that are computed of subject and message, unless the ticket's `overridden` names them."""

GONE = "gone:"
"""What the content hash begins with of a ticket whose record is gone, so that a record that comes back differs."""

Stored = Mapping[str, Any]
What = Literal["updated", "unchanged", "returned", "deleted"]


@dataclass(frozen=True)
class Revision:
    """What becomes of a stored ticket, what its history keeps of it, and how it was and will be for who counts."""

    what: What
    update: Update
    entry: Mapping[str, Any] | None = None
    buried: Mapping[str, Any] | None = None
    change: Change | None = None


def first(row: Ticket, *, source_id: str, now: datetime, stone: Tombstone | None = None) -> dict[str, Any]:
    """Return the document of a record that no ticket has yet; with a *stone* it is that ticket again."""
    made = document(row, source_id=source_id, now=now)
    made |= computed_of(made)
    if stone is not None:
        made |= {"_id": stone.ticket_id, "revision": stone.revision + 1}
    return made


def revise(stored: Stored, row: Ticket, *, job_id: JobId, now: datetime) -> Revision:
    """Return what *row* makes of the ticket: what it says is set, and what it does not say stays.

    A ticket that its source deleted returns; one that was deleted by hand stays so. If no field differs, only the
    hash is kept, and nobody sees a change.
    """
    where, fields = _as_it_was(stored), {**row.fields, "content_hash": row.content_hash}
    changes = differences(stored, row.fields)
    is_back = _is_deleted_by_source(stored)
    if not changes and not is_back:
        return Revision("unchanged", (where, {"$set": fields}))
    computed = _computed_again(stored, row, changes)
    after = {**fields, **computed, **answered(stored, row.fields, now), "updated_at": now}
    update: dict[str, Any] = {"$set": after, "$inc": {"revision": 1}}
    if is_back:
        after["deleted_at"] = None
        update["$unset"] = {"deleted_by": "", "expires_at": ""}
    changes |= differences(stored, computed)
    action: Literal["returned", "updated"] = "returned" if is_back else "updated"
    kept = entry(stored["_id"], action, changes, at=now, job_id=job_id)
    return Revision(action, (where, update), kept, change=(stored, {**stored, **after}))


def delete(stored: Stored, *, job_id: JobId, now: datetime, kept_for: timedelta) -> Revision:
    """Return what becomes of a ticket whose record is gone; one that was deleted by hand stays as it is."""
    fields: dict[str, Any] = {"content_hash": GONE + stored["content_hash"]}
    where = _as_it_was(stored)
    if stored.get("deleted_at") is not None:
        return Revision("unchanged", (where, {"$set": fields}))
    fields |= {"deleted_at": now, "deleted_by": BY_SOURCE, "expires_at": now + kept_for, "updated_at": now}
    return Revision(
        "deleted",
        (where, {"$set": fields, "$inc": {"revision": 1}}),
        entry(stored["_id"], "deleted", {}, at=now, job_id=job_id),
        tombstone(stored, deleted_by=BY_SOURCE, at=now),
        change=(stored, None),
    )


def is_gone(content_hash: str) -> bool:
    """Tell whether a ticket's hash says that its record is gone."""
    return content_hash.startswith(GONE)


def _as_it_was(stored: Stored) -> dict[str, Any]:
    # The hash tells what its source did, the revision what was done by hand. Older tickets have none: `None`.
    return {"_id": stored["_id"], "content_hash": stored["content_hash"], "revision": stored.get("revision")}


def _is_deleted_by_source(stored: Stored) -> bool:
    return stored.get("deleted_at") is not None and stored.get("deleted_by") == BY_SOURCE


def _computed_again(stored: Stored, row: Ticket, changes: Mapping[str, Any]) -> dict[str, Any]:
    if not {"subject", "message"} & changes.keys() and stored.get("classifier") == VERSION:
        return {}
    return computed_of({**stored, **row.fields}, stored.get("overridden") or ())


def computed_of(ticket: Mapping[str, Any], overridden: Collection[str] = ()) -> dict[str, Any]:
    """Return what the words of *ticket* give: its classes but for those *overridden*, by which rules; keywords."""
    classes = classify(ticket["subject"], ticket["message"])
    kept = {name: getattr(classes, name) for name in COMPUTED if name not in overridden}
    return {**kept, "keywords": keywords(ticket["subject"], ticket["message"]), "classifier": VERSION}
