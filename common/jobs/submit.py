"""Accepting a job: its record with a majority first, then its place in the lane.

Redis being away undoes nothing: the sweep admits what it does not know.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo.client_session import ClientSession

from common import tracing
from common.caller import Caller
from common.clock import Clock
from common.ids import JobId, OrgId, new_id
from common.jobs import idempotency
from common.jobs.backlog import Backlog
from common.jobs.children import MADE_AT_ONCE_MAX
from common.jobs.committer import Committer
from common.jobs.idempotency import Once
from common.jobs.kind import Job
from common.jobs.lanes import Lanes
from common.jobs.leases import Claimed
from common.jobs.record import JobRecord, entry_of, new_document, read_document
from common.jobs.store import JobStore
from common.metrics import accepted
from common.tenancy.control import ControlPlane

CANCEL_ROUNDS = 5
"""How many pages of children a cancel ends at once; the sweep ends the others."""

Also = Callable[[ClientSession], None]


class Submitter:
    """Accepts jobs for one process; *accepted* is told whose, and how many."""

    def __init__(
        self,
        control: ControlPlane,
        store: JobStore,
        lanes: Lanes,
        backlog: Backlog,
        clock: Clock,
        *,
        accepted: Callable[[OrgId, int], None] = lambda _org_id, _count: None,
    ) -> None:
        self._control = control
        self._store = store
        self._lanes = lanes
        self._backlog = backlog
        self._clock = clock
        self._accepted = accepted
        self._committer = Committer(control.jobs, self._admit)

    def submit(
        self,
        caller: Caller,
        job: Job,
        *,
        org_id: OrgId | None = None,
        job_id: JobId | None = None,
        run_at: datetime | None = None,
        priority: int | None = None,
        tags: Sequence[str] = (),
        once: Once | None = None,
        also: Also | None = None,
    ) -> JobRecord:
        """Accept *job*; when this returns, a majority has its record.

        *org_id* names another organization than the caller's: only a sign-up does that. *also* makes the
        domain's own writes in the same transaction; it may be run again if that meets a transient conflict.
        Raises `AlreadyAnswered`, `Invalid` or `Conflict` for a used key, `ValueError` for a payload that is
        too large, `TooMany` where too many wait already, `PyMongoError` when the outcome is unknown.
        """
        document = new_document(
            caller,
            job,
            org_id=org_id or caller.org_id,
            job_id=job_id or JobId(new_id()),
            now=self._clock.now(),
            run_at=run_at,
            priority=priority,
            tags=tags,
        )
        if once is not None:
            idempotency.look_up(self._control.idempotency, once, self._clock.now())
        self._backlog.make_room(document["org_id"])
        if once is None and also is None:
            self._committer.insert(document)
        else:
            self._insert_with(document, once, also)
            self._admit([document])
        accepted(job.name).inc()
        self._accepted(document["org_id"], 1)
        return read_document(document)

    def retry(self, org_id: OrgId, job_id: str, *, once: Once | None = None) -> JobRecord:
        """Start a fresh run of a failed or cancelled job. Raises like `JobStore.retry` and `submit`."""
        if once is None:
            record = self._store.retry(org_id, job_id)
        else:
            record = idempotency.do_once(
                self._control.idempotency,
                once,
                self._clock.now,
                lambda session: self._store.retry(org_id, job_id, session=session),
                self._control.transaction,
            )
            self._store.tell([record.id])
        self._lanes.admit_all_soon([record.entry])
        return record

    def cancel(self, org_id: OrgId, job_id: str) -> JobRecord:
        """Cancel a job or ask it to stop. Raises like `JobStore.cancel`."""
        record = self._store.cancel(org_id, job_id)
        if record.is_final:
            self._lanes.forget_all_soon([record.entry])
        for _ in range(CANCEL_ROUNDS if record.open_children else 0):
            cancelled = self._store.cancel_children(org_id, record.id)
            if not cancelled:
                break
            self._lanes.forget_all_soon(cancelled)
        return record

    def submit_children(
        self,
        claimed: Claimed,
        step: str,
        jobs: Sequence[Job],
        *,
        priority: int | None,
        transact: Callable[[Callable[[ControlPlane, ClientSession], bool]], bool],
    ) -> None:
        """Accept *jobs* as children of the job that runs under *claimed*, once for each *step* of it.

        They are submitted by whom the parent was. *transact* runs the writes behind the parent's fence.
        Raises `ValueError` for too many or too large ones, and whatever `Children.make` raises.
        """
        if len(jobs) > MADE_AT_ONCE_MAX:
            raise ValueError(f"A job makes at most {MADE_AT_ONCE_MAX} children in a step, not {len(jobs)}.")
        caller = Caller(
            org_id=claimed.org_id,
            user_id=claimed.submitted_by,
            role="job",
            request_id=claimed.request_id,
            traceparent=tracing.current(claimed.traceparent),
        )
        documents = [
            new_document(
                caller,
                job,
                org_id=claimed.org_id,
                job_id=JobId(new_id()),
                now=self._clock.now(),
                run_at=None,
                priority=priority,
                tags=(),
                parent_id=claimed.job_id,
            )
            for job in jobs
        ]
        if documents and transact(lambda _, session: self._store.make_children(session, claimed, step, documents)):
            self._admit(documents)
            for job in jobs:
                accepted(job.name).inc()
            self._accepted(claimed.org_id, len(documents))

    def _insert_with(self, document: Mapping[str, Any], once: Once | None, also: Also | None) -> None:
        record = read_document(document)

        def insert(session: ClientSession) -> JobRecord:
            if also is not None:
                also(session)
            self._control.jobs.insert_one(document, session=session)
            return record

        idempotency.keep_once(self._control.idempotency, once, self._clock.now, insert, self._control.transaction)

    def _admit(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self._lanes.admit_all_soon(entry_of(one) for one in documents if one["state"] == "queued")
        for document in documents:
            if document["state"] == "waiting":
                entry = entry_of(document)
                delay_s = (document["run_at"] - self._clock.now()).total_seconds()
                self._lanes.defer_soon(entry.queue, entry.member, max(0.0, delay_s))
