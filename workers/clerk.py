"""The clerk: a thread beside the handler that writes down how jobs ended, while the next one is being claimed.

A job's lease is held, and renewed by the parent, until its end is written; dying before that only means that the
job is run again, where its fence and its natural keys make the repetition harmless. The ends of jobs that rode
together share a commit; an end never waits while there is nothing else to do. The clerk also watches the ride:
when one of its jobs runs long, those that were not begun are given back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.clock import Clock
from common.jobs.lanes import Lanes, Used
from common.jobs.leases import Claimed
from common.jobs.problems import problem
from common.jobs.store import JobStore
from common.logs import get_logger
from common.metering.meter import Meter
from common.metrics import ENDED, REFUSED_WRITES, RUN_SECONDS
from workers.events import JobEvents
from workers.ride import Ride
from workers.runner import Outcome

GROUP_MAX = 64
TOGETHER_MAX_BYTES = 1024 * 1024
COMPANY_S = 0.03
FLUSH_EVERY_S = 0.25
RETRY_EVERY_S = 1.0
log = get_logger()


@dataclass(frozen=True)
class Ended:
    """A job whose handler ended after *took_s* seconds."""

    claimed: Claimed
    outcome: Outcome
    took_s: float


class Clerk:
    """Writes the ends of one child's jobs; at most `GROUP_MAX` wait while others are being written.

    *written* is told whose leases are no longer held; *meter* counts what the jobs used.
    """

    def __init__(
        self,
        store: JobStore,
        lanes: Lanes,
        events: JobEvents,
        clock: Clock,
        written: Callable[[Sequence[Claimed]], None],
        *,
        meter: Meter | None = None,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._events = events
        self._clock = clock
        self._written = written
        self._meter = meter
        self._lock = threading.Condition()
        self._ride: Ride | None = None
        self._inbox: deque[Ended] = deque()
        self._in_hand = 0
        self._hurries = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clerk", daemon=True)

    def start(self) -> None:
        """Start the thread; call it in the child, after the fork."""
        self._thread.start()

    def put(self, ended: Ended) -> None:
        """Hand over; waits while a whole group waits already, so that the leases held are bounded."""
        with self._lock:
            self._lock.wait_for(lambda: len(self._inbox) < GROUP_MAX)
            self._inbox.append(ended)
            if len(self._inbox) in {1, GROUP_MAX}:  # the ones between wake nobody
                self._lock.notify_all()

    def mind(self, ride: Ride) -> None:
        """Give back what was not begun when *ride* takes long; replaces the one before."""
        with self._lock:
            self._ride = ride

    def hurry(self) -> None:
        """Say that nothing more comes for now: what was handed over is written at once."""
        with self._lock:
            if self._inbox:
                self._hurries = True
                self._lock.notify_all()

    def finish(self) -> None:
        """Return when all that was handed over is written and every event is sent."""
        self.hurry()
        with self._lock:
            self._lock.wait_for(lambda: not self._inbox and not self._in_hand)
        self._events.flush()

    def _work(self) -> None:
        while True:
            group = self._next_group()
            left = self._write_together(group)
            for one in left:
                self._write_until_answered(one)
            self._written([one.claimed for one in left])
            self._events.flush_if_due()
            with self._lock:
                self._in_hand = 0
                self._lock.notify_all()

    def _next_group(self) -> Sequence[Ended]:
        """Wait for an end, and a few milliseconds for others that share its commit."""
        with self._lock:
            while not self._lock.wait_for(lambda: self._inbox, self._looks_in_s()):
                self._end_long_ride()
                self._events.flush()
            self._lock.wait_for(lambda: self._hurries or len(self._inbox) >= GROUP_MAX, COMPANY_S)
            self._end_long_ride()
            group = list(self._inbox)
            self._inbox.clear()
            self._hurries, self._in_hand = False, len(group)
            self._lock.notify_all()
        return group

    def _looks_in_s(self) -> float:
        if self._ride is None:
            return FLUSH_EVERY_S
        return min(FLUSH_EVERY_S, max(0.001, self._ride.ends_at - time.monotonic()))

    def _end_long_ride(self) -> None:
        """Give back the jobs of a ride that takes long; the one that runs goes on."""
        if self._ride is None or time.monotonic() < self._ride.ends_at:
            return
        self._inbox.extend(Ended(one, Outcome("given_back"), 0.0) for one in self._ride.give_up())
        self._ride = None

    def _write_together(self, group: Sequence[Ended]) -> Sequence[Ended]:
        """Write what can share a commit; return what is still to be written one by one."""
        back = [one for one in group if one.outcome.ending == "given_back"]
        fitting = _fitting([one for one in group if one.outcome.ending == "succeeded"])
        for together, write in ((back, self._give_back_together), (fitting, self._succeed_together)):
            if len(together) > 1 and self._try(together, write):
                done = {id(one) for one in together}
                group = [one for one in group if id(one) not in done]
        return group

    def _try(self, together: Sequence[Ended], write: Callable[[Sequence[Ended]], None]) -> bool:
        try:
            write(together)
        except Exception as error:  # noqa: BLE001 (one by one shows whose fault it is)
            log.warning("job.ends_not_written_together", count=len(together), error=type(error).__name__)
            return False
        self._written([one.claimed for one in together])
        return True

    def _succeed_together(self, together: Sequence[Ended]) -> None:
        written = self._store.succeed_many([(one.claimed, one.outcome.result) for one in together])
        mine = [one for one in together if one.claimed.token in written]
        self._lanes.release_soon(together[0].claimed.queue, [_used(one) for one in mine])
        for one in together:
            self._account(one, written=one.claimed.token in written)

    def _give_back_together(self, together: Sequence[Ended]) -> None:
        self._store.give_back_all([one.claimed for one in together])
        self._lanes.back_soon(together[0].claimed.queue, [one.claimed.entry for one in together], used_ms=0)
        for one in together:
            self._account(one, written=True)

    def _write_until_answered(self, ended: Ended) -> None:
        while True:
            try:
                written = self._write(ended)
            except PyMongoError as error:
                # The lease decides how long this is worth trying: once it is lost, the answer is "refused".
                log.warning("job.end_not_written", job_id=ended.claimed.job_id, error=type(error).__name__)
                self._closing.wait(RETRY_EVERY_S)
                continue
            except Exception as error:  # noqa: BLE001 (such a job is run again; the clerk must go on for the others)
                log.error("job.end_unwritable", job_id=ended.claimed.job_id, error=repr(error)[:500])
                written = self._write_failure(ended, error)
            self._account(ended, written=written)
            return

    def _write_failure(self, ended: Ended, error: Exception) -> bool:
        detail = f"The end of the job can't be written: {type(error).__name__}."
        try:
            return self._fail(ended.claimed, Outcome("failed", code="end-unwritable", detail=detail, charged=True))
        except PyMongoError:
            return False  # the lease runs out, and the sweep takes over

    def _write(self, ended: Ended) -> bool:
        claimed, outcome = ended.claimed, ended.outcome
        match outcome.ending:
            case "succeeded":
                return self._released(ended, written=self._store.succeed(claimed, outcome.result))
            case "failed":
                return self._released(ended, written=self._fail(claimed, outcome))
            case "cancelled":
                return self._released(ended, written=self._store.finish_cancelled(claimed))
            case "retry" | "deferred":
                return self._put_aside(ended)
            case "waits":
                return self._wait_for_children(ended)
            case "given_back":
                return self._give_back(ended)
            case "held":
                return self._released(ended, written=self._store.hold(claimed))
            case "lost":
                return False

    def _released(self, ended: Ended, *, written: bool) -> bool:
        """Free the job's slot if its end is written; else somebody else may hold it by now."""
        if written:
            self._lanes.release_soon(ended.claimed.queue, [_used(ended)])
        return written

    def _fail(self, claimed: Claimed, outcome: Outcome) -> bool:
        return self._store.fail(claimed, self._problem(claimed, outcome), charged=outcome.charged)

    def _put_aside(self, ended: Ended) -> bool:
        claimed, outcome = ended.claimed, ended.outcome
        shown = self._problem(claimed, outcome) if outcome.charged else None
        written = self._store.wait(claimed, reason=outcome.reason, delay_s=outcome.delay_s, problem=shown)
        if written:
            self._lanes.defer_soon(claimed.queue, claimed.member, outcome.delay_s, used_ms=_used(ended)[1])
        return written

    def _wait_for_children(self, ended: Ended) -> bool:
        claimed, used_ms = ended.claimed, _used(ended)[1]
        state = self._store.wait_for_children(claimed)
        if state == "queued":  # they ended before their parent waited
            self._lanes.back_soon(claimed.queue, [claimed.entry], used_ms=used_ms)
        elif state is not None:
            self._lanes.release_soon(claimed.queue, [_used(ended)])
        return state is not None

    def _give_back(self, ended: Ended) -> bool:
        claimed = ended.claimed
        written = self._store.give_back(claimed)
        if written:
            self._lanes.back_soon(claimed.queue, [claimed.entry], used_ms=_used(ended)[1])
        return written

    def _problem(self, claimed: Claimed, outcome: Outcome) -> dict[str, object]:
        return problem(outcome.code, outcome.detail, attempt=claimed.attempt + 1, now=self._clock.now())

    def _account(self, ended: Ended, *, written: bool) -> None:
        claimed, outcome = ended.claimed, ended.outcome
        self._count(ended, written=written)
        if not written:
            REFUSED_WRITES.labels("finish").inc()
            log.warning("job.end_refused", kind=claimed.kind, job_id=claimed.job_id, ending=outcome.ending)
            return
        ENDED.labels(claimed.kind, outcome.ending).inc()
        RUN_SECONDS.labels(claimed.kind).observe(ended.took_s)
        self._events.ended(claimed, outcome, ended.took_s)
        log.info(
            "job.ended",
            ending=outcome.ending,
            kind=claimed.kind,
            job_id=claimed.job_id,
            request_id=claimed.request_id,
            attempt=claimed.attempt + outcome.charged,
            took_s=round(ended.took_s, 4),
        )

    def _count(self, ended: Ended, *, written: bool) -> None:
        """Count for the organization what the run used, also in vain, and how the job ended."""
        if self._meter is None:
            return
        org_id, ending = ended.claimed.org_id, ended.outcome.ending
        if ran_us := round(ended.took_s * 1_000_000):
            self._meter.add(org_id, "run_us", ran_us)
        if written and ending in {"succeeded", "failed"}:
            self._meter.add(org_id, "ended")
        if written and ending == "failed":
            self._meter.add(org_id, "failed")


def _used(ended: Ended) -> Used:
    return ended.claimed.member, ended.took_s * 1000


def _fitting(ended: Sequence[Ended]) -> Sequence[Ended]:
    """Return as many of *ended* as one update may carry."""
    size_bytes, fitting = 0, list[Ended]()
    for one in ended:
        size_bytes += one.outcome.result_bytes
        if size_bytes > TOGETHER_MAX_BYTES:
            break
        fitting.append(one)
    return fitting
