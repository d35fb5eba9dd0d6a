"""What a handler works with: its organization's data, its checkpoint, and the word that it has to stop.

Everything a handler writes goes through `write`: one transaction that first moves the job's fence. A worker whose
lease was lost finds a higher number there and writes nothing.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import orjson
from pymongo.client_session import ClientSession

from common.coordination.circuit_breaker import Target
from common.coordination.lock import TTL_S, Lease
from common.coordination.rate_limiter import Limit
from common.errors import CancelRequested, Defer, GivenBack, JobFailed, LeaseLost, LockHeld, LockLost, Unavailable
from common.ids import JobId, OrgId
from common.jobs.kind import Job
from common.jobs.leases import Claimed
from common.jobs.record import CHECKPOINT_MAX_BYTES, JobRecord
from common.logs import get_logger
from common.services import Services
from common.storage.blob_store import BlobStore
from common.tenancy import fences
from common.tenancy.control import ControlPlane
from common.tenancy.fences import FENCES
from common.tenancy.scope import OrgScope
from workers.outside import HOST_LIMITS, WITHOUT_REDIS_WAITS_S, Outside

T = TypeVar("T")
SHOWN_EVERY_S = 0.5
LOCK_ASKED_AGAIN_S = (0.1, 5.0)


class Signals:
    """What may stop a handler from outside; the worker's child knows, a test may say anything."""

    def lease_lost(self) -> bool:
        """Tell whether the lease was lost."""
        return False

    def cancel_requested(self) -> bool:
        """Tell whether the job is to be cancelled."""
        return False

    def closing(self) -> bool:
        """Tell whether the worker takes no more work."""
        return False


class Context:
    """One run of one job."""

    def __init__(self, services: Services, claimed: Claimed, signals: Signals | None = None) -> None:
        self.services = services
        self.claimed = claimed
        self.org_id: OrgId = claimed.org_id
        self.job_id: JobId = claimed.job_id
        self.claim = claimed.claim
        self.request_id = claimed.request_id
        self.asked_at = claimed.created_at
        self.log = get_logger()
        self._signals = signals or Signals()
        self._shown_at = 0.0
        self._advanced = False
        self._is_confirmed = False

    @property
    def blobs(self) -> BlobStore:
        """Return the store of files."""
        return self.services.blobs

    @cached_property
    def scope(self) -> OrgScope:
        """Return the organization's data, for reading."""
        return self._scope.reading()

    @property
    def may_interrupt(self) -> bool:
        """Tell whether this thread can take the soft limit's signal."""
        return threading.current_thread() is threading.main_thread()

    def resume(self) -> Mapping[str, Any] | None:
        """Return the last checkpoint, or `None` if there is none yet.

        Moves the fence first: from here on no earlier claim can write, so what is read now stays so.
        """
        self._confirm()
        collection = self._scope[FENCES]
        return fences.move(collection, self.job_id, self.claim, self.services.clock.now())

    def write(
        self,
        work: Callable[[OrgScope], T],
        *,
        under: Lease | None = None,
        checkpoint: Mapping[str, Any] | Callable[[T], Mapping[str, Any]] | None = None,
        done: int | None = None,
        total: int | None = None,
        stage: str | None = None,
        rows: int = 0,
    ) -> T:
        """Make *work*'s writes, and store *checkpoint*, in one transaction behind the fence.

        A checkpoint that depends on what *work* returns is given as a function of that. *rows* is how many tickets
        it writes, which the organization's usage counts.
        *work* may be run again by a transient conflict, so it changes nothing but through its scope.
        Raises `LeaseLost`, or `LockLost` for the lock that it is done *under*, with nothing written; or, after the
        commit, whatever `progress` raises.
        """
        known = None if callable(checkpoint) else _bounded(checkpoint)
        self._confirm()
        now = self.services.clock.now()

        def fenced(scope: OrgScope) -> T:
            fences.move(scope[FENCES], self.job_id, self.claim, now, checkpoint=known)
            if under is not None:
                _move_fence_of(under, scope, now)
            made = work(scope)
            if callable(checkpoint):
                fences.move(scope[FENCES], self.job_id, self.claim, now, checkpoint=_bounded(checkpoint(made)))
            return made

        result = self._scope.transaction(fenced)
        self._advanced = self._advanced or checkpoint is not None
        if rows:
            self.services.meter.add(self.org_id, "rows", rows)
        if done is not None:
            self.progress(done, total, stage)
        else:
            self.stop_if_asked()
        return result

    def write_control(self, work: Callable[[ControlPlane, ClientSession], T]) -> T:
        """Make *work*'s writes to the control plane in one transaction behind the fence that stands there.

        Raises `LeaseLost` with nothing written.
        """
        self._confirm()
        control = self.services.control
        now = self.services.clock.now()

        def fenced(session: ClientSession) -> T:
            fences.move(control.fences, self.job_id, self.claim, now, session=session)
            return work(control, session)

        return control.transaction(fenced)

    @contextmanager
    def lock(self, name: str, ttl_s: float = TTL_S) -> Iterator[Lease]:
        """Hold a lock of the organization for the block; hand it to `write` as *under*.

        Raises `LockHeld`, for which the job waits without holding a worker, and `LockLost` into the block.
        """
        with ExitStack() as stack:
            # What this very job held when it died is its own: its earlier claim writes no more, by the fence.
            held = self.services.locks.hold(
                f"{self.org_id}:{name}", ttl_s, holder=f"job {self.job_id}", inherits=True
            )
            try:
                lease = stack.enter_context(held)
            except LockHeld as error:  # it may be free sooner than it has to be
                wait_s = min(max(error.retry_after_s, LOCK_ASKED_AGAIN_S[0]), LOCK_ASKED_AGAIN_S[1])
                raise LockHeld(error.detail, retry_after_s=wait_s) from error
            except Unavailable as error:  # without the lock there is no safe way to go on
                raise Defer(WITHOUT_REDIS_WAITS_S, "coordination_unavailable") from error
            yield lease

    def outside(self, host: str, credential: str = "", limits: Sequence[Limit] = HOST_LIMITS) -> Outside:
        """Return the way to call *host*: with permits, a breaker, and no waiting in a worker."""
        target = Target(host, credential=credential, tenant=self.org_id)
        return Outside(self.services.outside_limiter, self.services.breaker, target, limits, ticket=self.job_id)

    def spawn(self, step: str, jobs: Sequence[Job], *, priority: int | None = None) -> None:
        """Make *jobs*, at most 1,000, children of this one, once for each *step*: repeating a step does nothing.

        Raise `WaitForChildren` to go on when all of them have ended.
        """
        self.services.submitter.submit_children(
            self.claimed, step, jobs, priority=priority, transact=self.write_control
        )

    def children(self) -> Iterator[JobRecord]:
        """Go through this job's children, in the order in which they were made."""
        return self.services.jobs.children.all_of(self.org_id, self.job_id)

    def outside_key(self, step: str) -> str:
        """Return the idempotency key for a call to the outside: the same for each repetition of *step*."""
        self._confirm()
        return f"{self.job_id}:{self.claimed.run}:{step}"

    def checkpoint(
        self,
        state: Mapping[str, Any],
        done: int | None = None,
        total: int | None = None,
        stage: str | None = None,
    ) -> None:
        """Store *state*, at most 64 KiB of it, as where to go on from. Raises like `write`."""
        self.write(lambda _scope: None, checkpoint=state, done=done, total=total, stage=stage)

    def progress(self, done: int, total: int | None = None, stage: str | None = None) -> None:
        """Show how far the job is, at most twice a second, and stop if asked.

        Raises `LeaseLost`, `CancelRequested` or `GivenBack`.
        """
        now = self.services.clock.monotonic()
        if now - self._shown_at >= SHOWN_EVERY_S or done == total:
            self._shown_at = now
            shown = {"done": done, "total": total, "stage": stage}
            store = self.services.jobs
            if not store.note_progress(self.claimed, shown, advanced=self._advanced):
                raise LeaseLost("Another worker has this job now.")
            self._advanced = False
        self.stop_if_asked()

    def parents_progress(self, done: int, total: int, stage: str) -> None:
        """Show how far the parent of this job is, which waits for its children; never less than before."""
        if self.claimed.parent_id is not None:
            shown = {"done": done, "total": total, "stage": stage}
            self.services.jobs.note_parents_progress(self.org_id, self.claimed.parent_id, shown)

    def stop_if_asked(self) -> None:
        """Return if the handler may go on. Raises `LeaseLost`, `CancelRequested` or `GivenBack`."""
        if self._signals.lease_lost():
            raise LeaseLost("Another worker has this job now.")
        if self._signals.cancel_requested():
            raise CancelRequested("The job was asked to stop.")
        if self._signals.closing():
            raise GivenBack("This worker is shutting down.")

    def _confirm(self) -> None:
        """Let nothing out under this claim before a majority has it."""
        if not self._is_confirmed and not self.services.jobs.confirm(self.claimed):
            raise LeaseLost("Another worker has this job now.")
        self._is_confirmed = True

    @cached_property
    def _scope(self) -> OrgScope:
        return self.services.scope(self.org_id)


def _move_fence_of(lock: Lease, scope: OrgScope, now: datetime) -> None:
    """Refuse a holder that was overtaken: it may have been stopped for longer than its lock lasted."""
    try:
        fences.move(scope[FENCES], f"lock:{lock.name}", lock.fence, now)
    except LeaseLost as error:
        raise LockLost(lock.name) from error


def _bounded(checkpoint: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    size_bytes = len(orjson.dumps(dict(checkpoint))) if checkpoint is not None else 0
    if size_bytes > CHECKPOINT_MAX_BYTES:
        raise JobFailed(
            f"A checkpoint of {size_bytes} bytes is over the {CHECKPOINT_MAX_BYTES} that are kept.",
            code="checkpoint-too-large",
        )
    return checkpoint
