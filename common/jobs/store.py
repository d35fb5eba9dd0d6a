"""The records of all jobs, for everyone: what tenants do with them, and the steps of workers and healers.

A tenant's reads carry its organization in the filter.
"""

from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.cursor import Cursor
from pymongo.errors import ExecutionTimeout

from common.errors import Conflict, Unavailable
from common.ids import JobId, OrgId
from common.jobs.children import CHILDREN_INDEXES, TO_CANCEL, Closed, cancelled_update
from common.jobs.healing import Healing
from common.jobs.kind import KINDS
from common.jobs.members import Entry
from common.jobs.record import JobRecord, read_document
from common.jobs.running import Running
from common.jobs.selection import ENDED_BADLY, Selection

SELECT_MS = 5_000
_QUEUED_FIRST = {"state": {"$in": ["queued", "waiting"]}}

JOBS_INDEXES = (
    IndexModel([("org_id", ASCENDING), ("_id", DESCENDING)], name="org_newest"),
    IndexModel(
        [("org_id", ASCENDING), ("kind", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)], name="org_kind"
    ),
    IndexModel([("org_id", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)], name="org_state"),
    # The five below serve the engine across organizations, never a tenant's query.
    IndexModel(
        [("state", ASCENDING), ("_id", ASCENDING)], name="unfinished", partialFilterExpression={**_QUEUED_FIRST}
    ),
    IndexModel(
        [("queue", ASCENDING), ("_id", ASCENDING)], name="oldest", partialFilterExpression={"state": "queued"}
    ),
    IndexModel(
        [("state", ASCENDING), ("_id", DESCENDING)],
        name="ended_badly",
        partialFilterExpression={"state": {"$in": sorted(ENDED_BADLY)}},
    ),
    IndexModel(
        [("state", ASCENDING), ("lease.expires_at", ASCENDING)],
        name="leases",
        partialFilterExpression={"state": "running"},
    ),
    IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    *CHILDREN_INDEXES,
)


class JobStore(Running, Healing):
    """The collection of records. Raises pymongo's errors where the server does not answer."""

    def page(
        self,
        org_id: OrgId,
        *,
        limit: int,
        kind: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        before: str | None = None,
    ) -> list[JobRecord]:
        """List up to *limit* jobs, newest first, from *before* (a job's id) on."""
        selection = Selection(org_id, kind=kind, states=(state,) if state is not None else (), made_after=since)
        return self.select(selection, before=before, limit=limit)

    def select(self, selection: Selection, *, before: str | None, limit: int) -> list[JobRecord]:
        """List up to *limit* jobs of *selection*, newest first, from *before* (a job's id) on.

        Raises `Unavailable` if that takes longer than five seconds.
        """
        try:
            return [read_document(one) for one in self.cursor(selection, before=before, limit=limit)]
        except ExecutionTimeout as error:
            raise Unavailable(
                "So many jobs can't be searched in time. Ask for an organization or a kind."
            ) from error

    def cursor(self, selection: Selection, *, before: str | None, limit: int) -> Cursor[Any]:
        """Return the query of `select`, not asked yet."""
        found = self._jobs.find(selection.query(before)).sort("_id", DESCENDING).limit(limit)
        found = found.max_time_ms(SELECT_MS)
        return found.hint(selection.hint) if selection.hint is not None else found

    def count(self, selection: Selection, most: int, *, before: str | None = None) -> int:
        """Count the jobs of *selection*, *most* at most. Raises like `select`."""
        try:
            return self._jobs.count_documents(selection.query(before), limit=most, maxTimeMS=SELECT_MS)
        except ExecutionTimeout as error:
            raise Unavailable(
                "So many jobs can't be counted in time. Ask for an organization or a kind."
            ) from error

    def cancel(self, org_id: OrgId, job_id: str) -> JobRecord:
        """Cancel a job that waits, at once, or ask a running one to stop at its next checkpoint.

        Raises `NotFound`, or `Conflict` if it has ended or is of a kind that can't be cancelled.
        """
        while True:  # a job may be claimed or given back between the two looks; either way the next one finds it
            record = self.get(org_id, job_id)
            if record.is_final:
                raise Conflict(f"The job has {record.state} already; it can't be cancelled.")
            kind = KINDS.get(record.kind)
            if kind is not None and not kind.terms.can_be_cancelled:
                raise Conflict("This job finishes what is done already; it can't be cancelled.")
            this = {"_id": job_id, "org_id": org_id}
            ended = self._finish({**this, **_QUEUED_FIRST}, cancelled_update(self._clock.now()), record.parent_id)
            asked = {"cancel_requested": True, "cancelling_children": TO_CANCEL}
            if ended or self._update({**this, "state": "running"}, [{"$set": asked}]) is not None:
                self.tell([record.id])
                return self.get(org_id, job_id)

    def cancel_children(self, org_id: OrgId, job_id: JobId) -> list[Entry]:
        """Cancel some of the children of a cancelled job; return where they stood, nothing if none is left."""
        now = self._clock.now()
        done = self._control.transaction(lambda session: self.children.cancel_some(session, org_id, job_id, now))
        self._woken(done.woken)
        self.tell([one.member.job_id for one in done.cancelled])
        return done.cancelled

    def retry(self, org_id: OrgId, job_id: str, *, session: ClientSession | None = None) -> JobRecord:
        """Start a fresh run of a failed or cancelled job; its checkpoint stays.

        Raises `NotFound`, or `Conflict` if it has neither failed nor been cancelled.
        """
        if session is None:
            record = self._control.transaction(lambda own: self.retry(org_id, job_id, session=own))
            self.tell([record.id])
            return record
        queued = self._update(
            {
                "_id": job_id,
                "org_id": org_id,
                "state": {"$in": ["failed", "cancelled"]},
                "cancelling_children": {"$ne": True},
            },
            {
                "$set": {
                    "state": "queued",
                    "attempt": 0,
                    "losses": 0,
                    "cancel_requested": False,
                    "queued_at": self._clock.now(),
                },
                "$inc": {"run": 1},
                "$unset": dict.fromkeys(("error", "finished_at", "expires_at", "run_at", "waiting_for"), ""),
            },
            session=session,
        )
        if queued is None:
            raise self._not_retried(self.get(org_id, job_id))
        if queued.parent_id is not None:
            self.children.reopen(session, Closed(org_id, queued.parent_id, queued.id))
        return queued

    def _not_retried(self, record: JobRecord) -> Conflict:
        if record.state in {"failed", "cancelled"}:
            return Conflict("The job's children are still being cancelled. Try again in a moment.")
        return Conflict(f"Only a failed or cancelled job can be retried; this one is {record.state}.")
