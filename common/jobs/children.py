"""Parents and children: a job makes others, waits without a worker, and goes on when all of them have ended.

A parent's record counts its open children. Making them raises the count in the transaction of their records, once
for each named step of the parent's handler. A child's end notes the pair of parent and child, once, and lowers the
count in the transaction of that end; whoever brings it to 0 queues the parent.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument, UpdateOne
from pymongo.client_session import ClientSession

from common.errors import CancelRequested, JobFailed, LeaseLost
from common.ids import JobId, OrgId
from common.jobs.members import Entry
from common.jobs.record import ENTRY_FIELDS, FINAL, KEPT_FOR, JobRecord, entry_of, read_document
from common.tenancy.control import ControlPlane

MADE_AT_ONCE_MAX = 1_000
STEPS_MAX = 100
PAGE = 200
_KEPT_S = 100 * 24 * 3600
CLOSINGS_INDEXES = (IndexModel([("closed_at", ASCENDING)], expireAfterSeconds=_KEPT_S, name="expiry"),)
CHILDREN_INDEXES = (
    IndexModel(
        [("org_id", ASCENDING), ("parent_id", ASCENDING), ("_id", ASCENDING)],
        name="org_parent",
        partialFilterExpression={"parent_id": {"$exists": True}},
    ),
    # For the sweep, across organizations: whose children are still to be cancelled.
    IndexModel(
        [("cancelling_children", ASCENDING)],
        name="cancelling_children",
        partialFilterExpression={"cancelling_children": True},
    ),
)
_WAITS = {"reason": "children", "until": None}
_HAS_OPEN = {"$gt": [{"$ifNull": ["$open_children", 0]}, 0]}
TO_CANCEL = {"$cond": [_HAS_OPEN, True, "$$REMOVE"]}
"""What `cancelling_children` becomes when a job is cancelled: the mark that the sweep goes on from."""
WAITING: list[Mapping[str, Any]] = [
    {
        "$set": {
            "state": {"$cond": [_HAS_OPEN, "waiting", "queued"]},
            "waiting_for": {"$cond": [_HAS_OPEN, _WAITS, "$$REMOVE"]},
        }
    },
    {"$unset": "lease"},
]
"""The update by which a running job waits for its children, or is queued if none is open."""


def cancelled_update(now: datetime) -> list[Mapping[str, Any]]:
    """Return the update that ends a waiting job as cancelled."""
    ending = {"state": "cancelled", "cancel_requested": True, "finished_at": now}
    kept = {"expires_at": now + KEPT_FOR["cancelled"], "cancelling_children": TO_CANCEL}
    return [{"$set": ending | kept}, {"$unset": ["waiting_for", "run_at", "held"]}]


@dataclass(frozen=True)
class Closed:
    """A child that ended."""

    org_id: OrgId
    parent_id: JobId
    child_id: JobId


class Children:
    """The steps of a family's life; each runs in a transaction that its caller has begun."""

    def __init__(self, control: ControlPlane) -> None:
        self._jobs = control.jobs
        self._closings = control.closings

    def make(
        self,
        session: ClientSession,
        lease: Mapping[str, Any],
        step: str,
        documents: Sequence[Mapping[str, Any]],
    ) -> bool:
        """Insert *documents* as children of the job that *lease* finds; `False` if *step* was made before.

        Raises `LeaseLost`, `CancelRequested`, or `JobFailed` for more steps than a job may have.
        """
        free = {"spawned": {"$ne": step}, f"spawned.{STEPS_MAX - 1}": {"$exists": False}}
        update = {"$inc": {"open_children": len(documents)}, "$push": {"spawned": step}}
        mine = {**lease, **free, "cancel_requested": {"$ne": True}}
        if self._jobs.update_one(mine, update, session=session).matched_count:
            self._jobs.insert_many(documents, session=session)
            return True
        parent = self._jobs.find_one(lease, {"spawned": 1, "cancel_requested": 1}, session=session)
        if parent is None:
            raise LeaseLost("Another worker has this job now.")
        if step in parent.get("spawned", ()):
            return False
        if parent.get("cancel_requested"):
            raise CancelRequested("The job was asked to stop.")
        raise JobFailed(f"A job makes children in at most {STEPS_MAX} steps.", code="too-many-children")

    def close(self, session: ClientSession, ended: Sequence[Closed], now: datetime) -> list[Entry]:
        """Count the end of each of *ended* once; return the parents that have no open child left."""
        notes = [
            UpdateOne(
                {"_id": f"{one.parent_id}:{one.child_id}"}, {"$setOnInsert": {"closed_at": now}}, upsert=True
            )
            for one in ended
        ]
        noted = self._closings.bulk_write(notes, ordered=False, session=session).upserted_ids or {}
        # The parent comes last: its record is the one that siblings meet at.
        counts = Counter((ended[index].org_id, ended[index].parent_id) for index in noted)
        woken = [self._lower(session, org_id, parent_id, by) for (org_id, parent_id), by in counts.items()]
        return [one for one in woken if one is not None]

    def reopen(self, session: ClientSession, child: Closed) -> None:
        """Count a child that is retried as open again, if its parent has not ended."""
        parent = {"_id": child.parent_id, "org_id": child.org_id}
        if self._jobs.find_one({**parent, "state": {"$nin": sorted(FINAL)}}, {"_id": 1}, session=session) is None:
            return
        if self._closings.delete_one(
            {"_id": f"{child.parent_id}:{child.child_id}"}, session=session
        ).deleted_count:
            self._jobs.update_one(parent, {"$inc": {"open_children": 1}}, session=session)

    def cancel_some(
        self, session: ClientSession, org_id: OrgId, parent_id: JobId, now: datetime
    ) -> "CancelledSome":
        """Cancel up to `PAGE` children that wait and ask those that run to stop."""
        whose = {"org_id": org_id, "parent_id": parent_id}
        waits = {**whose, "state": {"$in": ["queued", "waiting"]}}
        runs = {**whose, "state": "running", "cancel_requested": {"$ne": True}}
        fields = dict.fromkeys(ENTRY_FIELDS, 1)
        found = list(self._jobs.find(waits, fields, session=session).sort("_id", ASCENDING).limit(PAGE))
        asked = {"cancel_requested": True, "cancelling_children": TO_CANCEL}
        self._jobs.update_many(runs, [{"$set": asked}], session=session)
        if not found:
            self._jobs.update_one(
                {"_id": parent_id, "org_id": org_id}, {"$unset": {"cancelling_children": ""}}, session=session
            )
            return CancelledSome([], [])
        return CancelledSome(
            [entry_of(one) for one in found],
            self._end_cancelled(session, org_id, parent_id, [one["_id"] for one in found], now),
        )

    def cancelling(self, limit: int) -> list[tuple[OrgId, JobId]]:
        """List jobs whose children are still to be cancelled."""
        found = self._jobs.find({"cancelling_children": True}, {"org_id": 1}).limit(limit)
        return [(one["org_id"], one["_id"]) for one in found]

    def of(self, org_id: OrgId, parent_id: JobId, *, after: str = "", limit: int = PAGE) -> list[JobRecord]:
        """List up to *limit* children of a job by id, from *after* on."""
        query = {"org_id": org_id, "parent_id": parent_id, "_id": {"$gt": after}}
        return [read_document(one) for one in self._jobs.find(query).sort("_id", ASCENDING).limit(limit)]

    def all_of(self, org_id: OrgId, parent_id: JobId) -> Iterator[JobRecord]:
        """Go through all children of a job, a page at a time."""
        after = ""
        while page := self.of(org_id, parent_id, after=after):
            yield from page
            after = page[-1].id

    def _end_cancelled(
        self, session: ClientSession, org_id: OrgId, parent_id: JobId, ids: Sequence[JobId], now: datetime
    ) -> list[Entry]:
        self._jobs.update_many({"_id": {"$in": ids}, "org_id": org_id}, cancelled_update(now), session=session)
        return self.close(session, [Closed(org_id, parent_id, child_id) for child_id in ids], now)

    def _lower(self, session: ClientSession, org_id: OrgId, parent_id: JobId, by: int) -> Entry | None:
        goes_on = {
            "$and": [
                {"$eq": ["$open_children", 0]},
                {"$eq": ["$state", "waiting"]},
                {"$eq": ["$waiting_for.reason", "children"]},
            ]
        }
        parent = self._jobs.find_one_and_update(
            {"_id": parent_id, "org_id": org_id},
            [
                {"$set": {"open_children": {"$subtract": ["$open_children", by]}}},
                {
                    "$set": {
                        "state": {"$cond": [goes_on, "queued", "$state"]},
                        "waiting_for": {"$cond": [goes_on, "$$REMOVE", "$waiting_for"]},
                    }
                },
            ],
            projection=dict.fromkeys((*ENTRY_FIELDS, "state", "open_children"), 1),
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if parent is None or parent["open_children"] > 0 or parent["state"] != "queued":
            return None
        return entry_of(parent)


@dataclass(frozen=True)
class CancelledSome:
    """The children that were cancelled, and who was woken by that."""

    cancelled: list[Entry]
    woken: list[Entry]
