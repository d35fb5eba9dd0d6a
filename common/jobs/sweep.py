"""The sweep: what a death left behind is found in MongoDB and put right, in bounded steps.

Leading is a lease in MongoDB, so the healer does not depend on the patient. Each pass
0. aborts transactions that a dead or frozen process left open, and goes on cancelling children of cancelled jobs;
1. compares Redis's epoch, sequence and clock with MongoDB's, and rebuilds the lanes if Redis is empty, foreign,
   stale or damaged, or if its clock was set back;
2. queues the jobs again whose leases are over, and charges them with the loss;
3. compares a page of waiting records with the lanes, and admits what Redis does not know; brings it the tiers and
   pauses that were changed without it.

A rebuild goes on for a second in each pass, so that the rest is done meanwhile.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pymongo
import redis
from pymongo.errors import DuplicateKeyError, OperationFailure

from common.clock import Clock
from common.errors import Unavailable
from common.ids import new_id
from common.jobs.census import Census
from common.jobs.kind import queues
from common.jobs.lanes import EPOCH, UNMEASURED, Lanes, hold_s
from common.jobs.problems import problem_of_loss
from common.jobs.rebuild import SEQUENCE, Rebuild
from common.jobs.record import entry_of
from common.jobs.steering import Steering
from common.jobs.store import JobStore
from common.logs import get_logger
from common.metering.meter import Meter
from common.metrics import BORROWED, LOSSES, OLDEST_SECONDS, SLOTS, SWALLOWED, SWEEP_LAG, SWEPT, WAITING
from common.tenancy.control import ControlPlane

PAGE = 1_000
REBUILD_SLICE_S = 1.0
ORPHAN_AFTER_S = 3.0
CLOCK_MAY_LAG_MS = 1_000
LOCKED_MAX_S = 2.0
PARENTS_AT_ONCE, ROUNDS_AT_ONCE = 20, 5
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
log = get_logger()


@dataclass(frozen=True)
class Swept:
    """What one pass mended."""

    rebuilt: int = 0
    returned: int = 0
    admitted: int = 0


class Leadership:
    """One leader among the sweepers, by a lease in MongoDB on MongoDB's clock."""

    def __init__(self, control: ControlPlane, *, name: str = "sweeper", ttl_s: float) -> None:
        self._leases = control.leases
        self._name = name
        self._ttl_ms = int(ttl_s * 1000)
        self._me = new_id()

    def hold(self) -> bool:
        """Take or renew the lead; tell whether it is ours until the next third of its life."""
        with suppress(DuplicateKeyError):  # the lease itself is made once, and is free then
            self._leases.update_one(
                {"_id": self._name}, {"$setOnInsert": {"owner": "", "expires_at": _LONG_AGO}}, upsert=True
            )
        free = {"$or": [{"owner": self._me}, {"$expr": {"$lt": ["$expires_at", "$$NOW"]}}]}
        end = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": self._ttl_ms}}
        mine = {"owner": {"$literal": self._me}, "expires_at": end}
        return self._leases.update_one({"_id": self._name, **free}, [{"$set": mine}]).matched_count == 1

    def release(self) -> None:
        """Let another lead at once."""
        self._leases.update_one({"_id": self._name, "owner": self._me}, {"$set": {"expires_at": _LONG_AGO}})


class Sweep:
    """The passes of one sweeper; call `once` only while leading."""

    def __init__(
        self,
        control: ControlPlane,
        store: JobStore,
        lanes: Lanes,
        broker: "redis.Redis",
        clock: Clock,
        *,
        steering: Steering,
        meter: Meter,
        still_leading: Callable[[], bool] = lambda: True,
    ) -> None:
        self._control = control
        self._state = control.platform_state
        self._store = store
        self._lanes = lanes
        self._broker = broker
        self._clock = clock
        self._steering = steering
        self._meter = meter
        self._still_leading = still_leading
        self._rebuilding: Rebuild | None = None
        self._tiers_at = 0
        self._after = {"queued": "", "waiting": ""}
        self._census = Census()
        self._compared_whole_at = clock.monotonic()

    def once(self) -> Swept:
        """Make one pass. Raises `Unavailable` without Redis; what MongoDB alone can mend is done first."""
        self._abort_orphans()
        self._cancel_children()
        returned = self._return_expired()
        rebuilt = self._rebuild() if self._redis_forgot() else 0
        admitted = 0
        if self._rebuilding is None:
            self._steering.lay_down()
            self._compare_tiers()
            admitted = sum(self._compare_page(state) for state in ("queued", "waiting"))
        self._publish()
        for what, count in (("returned", returned), ("rebuilt", rebuilt), ("admitted", admitted)):
            SWEPT.labels(what).inc(count)
        return Swept(rebuilt=rebuilt, returned=returned, admitted=admitted)

    @property
    def is_rebuilding(self) -> bool:
        """Tell whether a rebuild is under way: then the next pass is due at once."""
        return self._rebuilding is not None

    def _abort_orphans(self) -> None:
        try:
            aborted = self._control.abort_idle_transactions(ORPHAN_AFTER_S)
        except OperationFailure:  # not this user's right: the server's own limit of time applies, a minute at most
            SWALLOWED.labels("sweep.orphans").inc()
            return
        if aborted:
            SWEPT.labels("transactions").inc(aborted)
            log.warning("transactions.aborted", count=aborted)

    def _cancel_children(self) -> None:
        """Go on where a cancel with many children, or with a death in the middle, left off."""
        for org_id, job_id in self._store.children.cancelling(PARENTS_AT_ONCE):
            for _ in range(ROUNDS_AT_ONCE):
                cancelled = self._store.cancel_children(org_id, job_id)
                if not cancelled:
                    break
                self._lanes.forget_all_soon(cancelled)

    def _return_expired(self) -> int:
        count = 0
        while self._still_leading():
            page = self._store.expired(PAGE)
            for one in page:
                problem = problem_of_loss(one.kind, one.losses + 1, self._clock.now())
                # A dead process's open transaction may hold the record: the next pass aborts it, if this one ends.
                with pymongo.timeout(LOCKED_MAX_S):
                    if not self._store.charge_loss(one.held, problem=problem, expired_only=True):
                        continue
                count += 1
                LOSSES.labels(one.kind).inc()
                log.warning("job.lease_over", kind=one.kind, job_id=one.held.job_id, losses=one.losses + 1)
                if problem is None:
                    again = replace(one.entry, alone=True)
                    self._lanes.back_soon(again.queue, [again])
                else:
                    self._meter.add(one.held.org_id, "ended")
                    self._meter.add(one.held.org_id, "failed")
                    self._lanes.release_soon(one.entry.queue, [(one.entry.member, UNMEASURED)])
            if len(page) < PAGE:
                break
        return count

    def _redis_forgot(self) -> bool:
        """Tell whether Redis is empty, foreign (another epoch), stale (its sequence or clock fell) or damaged.

        Every time in the lanes is on Redis's own clock, so one that was set back would hold up what waits for it.
        """
        known = self._state.find_one({"_id": "lanes"}) or {}
        try:
            epoch, sequence = self._broker.mget(EPOCH, SEQUENCE)
            looks = [self._lanes.sound(queue) for queue in queues()]
            now_ms = max((now_ms for _, now_ms in looks), default=0)
            is_ours = bool(known) and epoch == known["epoch"].encode() and (sequence or b"").isdigit()
            is_new = is_ours and int(sequence or 0) >= known["sequence"]
            is_later = is_ours and now_ms >= known.get("clock_ms", 0) - CLOCK_MAY_LAG_MS
            if is_new and is_later and all(sound for sound, _ in looks):
                newest = {"sequence": int(self._broker.incr(SEQUENCE)), "clock_ms": now_ms}
                self._state.update_one({"_id": "lanes", "epoch": known["epoch"]}, {"$max": newest})
                return False
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error
        if self._rebuilding is None:
            log.warning("lanes.forgotten", epoch_known=bool(known), ours=is_ours, new=is_new, later=is_later)
        return True

    def _rebuild(self) -> int:
        """Go on with the rebuild for a second, or begin it; return how many jobs were admitted.

        Redis gets the new epoch when all is done. A death in the middle leaves the old one, and the next leader
        starts again; so does this one if Redis forgets once more. A job is inserted before it is admitted, so
        whatever the clearing swept away is met by the walk.
        """
        if self._rebuilding is None or not self._rebuilding.is_remembered():
            self._rebuilding = Rebuild(
                self._state,
                self._store,
                self._lanes,
                self._broker,
                admit=self._admit,
                held_s=hold_s(self._store.lease_s),
            )
            self._steering.lay_down()
        count = self._rebuilding.go_on(REBUILD_SLICE_S, self._still_leading)
        if self._rebuilding.is_done:
            self._rebuilding = None
        return count

    def _compare_tiers(self) -> None:
        """Compare a page of the tiers that Redis knows with the registry; bring it what was changed without it."""
        self._tiers_at, known = self._lanes.known_tiers(self._tiers_at)
        for org_id, tier in known.items():
            now = self._steering.tier_of(org_id)
            if now and now != tier:
                self._lanes.replace(org_id, queues(), tier=now)

    def _compare_page(self, state: str) -> int:
        page = self._store.unfinished(state, self._after[state], PAGE)
        self._after[state] = page[-1]["_id"] if len(page) == PAGE else ""
        self._census.count(state, [one["kind"] for one in page], is_whole=len(page) < PAGE)
        if state == "queued" and len(page) < PAGE:
            self._compared_whole_at = self._clock.monotonic()
        by_queue = defaultdict(list)
        for one in page:
            by_queue[entry_of(one).queue].append(one)
        missing = []
        by_queue.pop("", None)  # records of before, of kinds that are unknown here
        for queue, ones in by_queue.items():
            unknown = self._lanes.unknown(queue, [entry_of(one).member for one in ones])
            missing += [one for one in ones if entry_of(one).member in unknown]
        return self._admit(missing, state)

    def _admit(self, page: Sequence[dict[str, Any]], state: str) -> int:
        if state == "waiting":
            return sum(self._defer(one) for one in page)
        return self._lanes.admit_all(entry_of(one) for one in page)

    def _defer(self, one: dict[str, Any]) -> bool:
        if "run_at" not in one:
            return False  # it waits for no time
        entry = entry_of(one)
        delay_s = (one["run_at"] - self._clock.now()).total_seconds()
        self._lanes.defer(entry.queue, entry.member, max(0.0, delay_s))
        return True

    def _publish(self) -> None:
        SWEEP_LAG.set(self._clock.monotonic() - self._compared_whole_at)
        self._census.count("running", self._store.kinds_running(), is_whole=True)
        for queue in queues():
            look = self._lanes.look(queue)
            WAITING.labels(queue).set(look.waiting)
            SLOTS.labels(queue).set(look.slots)
            BORROWED.labels(queue).set(look.borrowed)
            oldest = self._store.oldest_queued(queue)
            OLDEST_SECONDS.labels(queue).set((self._clock.now() - oldest).total_seconds() if oldest else 0)
