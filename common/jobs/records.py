"""The collection of records, and what every change of a job has in common.

A change is one conditional write, decided by MongoDB. Steps of the engine carry the lease token in the filter, so
that a worker that lost its lease changes nothing; a child's end is counted by its parent in the same transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from common.clock import Clock
from common.errors import NotFound
from common.ids import JobId, OrgId
from common.jobs.children import Children, Closed
from common.jobs.live import Live
from common.jobs.members import Entry
from common.jobs.record import ERRORS_KEPT, KEPT_FOR, JobRecord, read_document
from common.tenancy.control import ControlPlane
from common.together import Together

_ABSENT = "There is no such job."


class Records:
    """What stands under all that changes records. Raises pymongo's errors where the server does not answer."""

    def __init__(
        self,
        control: ControlPlane,
        clock: Clock,
        *,
        lease_s: float,
        woken: Callable[[Sequence[Entry]], None] = lambda _: None,
        live: Live | None = None,
    ) -> None:
        self.children = Children(control)
        self._control = control
        self._woken_entries = woken
        self._found: Together[tuple[OrgId, str], dict[str, Any]] = Together(self._find)
        self._live = live
        self._jobs = control.jobs
        self._soon = control.jobs.with_options(write_concern=WriteConcern(w=1), read_concern=ReadConcern("local"))
        self._clock = clock
        self.lease_s = lease_s
        self._lease_ms = int(lease_s * 1000)

    def get(self, org_id: OrgId, job_id: str) -> JobRecord:
        """Return the job; jobs that are asked for at the same time come in one read.

        Raises `NotFound`, also for another organization's.
        """
        return read_document(self._found((org_id, job_id)))

    def _find(self, asked: Sequence[tuple[OrgId, str]]) -> Sequence[dict[str, Any] | NotFound]:
        if len(asked) == 1:
            org_id, job_id = asked[0]
            alone = self._jobs.find_one({"_id": job_id, "org_id": org_id})
            return [alone if alone is not None else NotFound(_ABSENT)]
        these = {
            "_id": {"$in": [job_id for _, job_id in asked]},
            "org_id": {"$in": [org_id for org_id, _ in asked]},
        }
        found = {(one["org_id"], one["_id"]): one for one in self._jobs.find(these).hint("_id_")}
        return [found.get(one) or NotFound(_ABSENT) for one in asked]

    def _finish(
        self,
        query: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        parent_id: JobId | None,
    ) -> bool:
        """Write the end of one job; a child's is counted by its parent in the same transaction."""
        if parent_id is None:
            return self._told(query["_id"], self._jobs.update_one(query, update).matched_count == 1)
        closed, now = Closed(query["org_id"], parent_id, query["_id"]), self._clock.now()

        def work(session: ClientSession) -> tuple[bool, list[Entry]]:
            if not self._jobs.update_one(query, update, session=session).matched_count:
                return False, []
            return True, self.children.close(session, [closed], now)

        written, woken = self._control.transaction(work)
        self._woken(woken)
        return self._told(query["_id"], written)

    def _woken(self, entries: Sequence[Entry]) -> None:
        """Let those be admitted that another's end has queued."""
        self._woken_entries(entries)
        self.tell([one.member.job_id for one in entries])

    def tell(self, job_ids: Sequence[JobId]) -> None:
        """Tell who watches these jobs."""
        if self._live is not None and job_ids:
            self._live.changed(job_ids)

    def _told(self, job_id: JobId, written: bool) -> bool:  # noqa: FBT001 (handed through)
        """Tell who watches the job, if its change was *written*."""
        if written:
            self.tell([job_id])
        return written

    def _update(
        self,
        query: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        session: ClientSession | None = None,
    ) -> JobRecord | None:
        document = self._jobs.find_one_and_update(
            query, update, return_document=ReturnDocument.AFTER, session=session
        )
        return read_document(document) if document is not None else None


def leaving(fields: Mapping[str, Any], *, problem: Mapping[str, Any] | None, charged: bool) -> dict[str, Any]:
    """Return the update by which a running job gets *fields* and loses its lease."""
    update: dict[str, Any] = {"$set": dict(fields), "$unset": {"lease": ""}}
    if problem is not None:
        update["$push"] = pushed(problem)
    if charged:
        update["$inc"] = {"attempt": 1}
    return update


def expiry(state: str, now: datetime) -> dict[str, datetime]:
    """Return the field that says how long a job that ended in *state* is kept."""
    return {"expires_at": now + KEPT_FOR[state]}


def pushed(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operand that adds *problem* to the last errors."""
    return {"errors": {"$each": [problem], "$slice": -ERRORS_KEPT}}
