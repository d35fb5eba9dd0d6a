"""The worker's parent: it renews its children's leases, keeps their limits of time, and wakes what is due.

It runs in threads of the parent process, so that a busy handler can't starve it:

- guard, each second: reads what each child holds; renews leases every third of their life; tells lost and
  cancelled ones; kills a child over its hard limit or frozen longer than a lease; gives back what a dead one held.
- beat, each second: the worker's sign of life: its slots, its carriers, what was claimed; the answer names jobs
  whose slots are lent while another organization needs them: they are told to give back at their next checkpoint.
- due, at the next due time: queues the jobs whose time has come.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
import pymongo
from pymongo.errors import PyMongoError

from common.errors import Unavailable
from common.ids import JobId, OrgId
from common.jobs.lanes import hold_s
from common.jobs.leases import Held
from common.jobs.members import Entry, Member
from common.jobs.problems import problem_of_loss
from common.jobs.record import rides_alone
from common.logs import get_logger
from common.metrics import LOSSES, SWALLOWED, forget_process
from common.services import Services
from workers.slots import Slot, Slots

EVERY_S = 1.0
ALIVE_S = 3.0
DUE_EVERY_S = 1.0
LOCKED_MAX_S = 1.0
log = get_logger()


@dataclass
class Child:
    """What the parent knows of the process in one slot."""

    index: int
    slot: Slot
    pid: int = 0
    carrier: str | None = None
    leases: list[dict[str, Any]] = field(default_factory=list)
    running: Mapping[str, Any] | None = None
    frozen_since: float | None = None

    def held(self) -> list[Held]:
        """Return the leases that this child holds."""
        return [Held(OrgId(one["org_id"]), JobId(one["job_id"]), one["token"]) for one in self.leases]

    def look(self) -> None:
        """Read what the child says it holds."""
        letter = self.slot.held.read()
        if isinstance(letter, Mapping):
            self.pid, self.carrier, self.leases = letter["pid"], letter["carrier"], list(letter["leases"])
        self.running = self.slot.running.read()

    def members(self) -> dict[Member, str]:
        """Return what this child holds as the lanes know it, with the token of each."""
        return {
            Member(OrgId(one["org_id"]), JobId(one["job_id"]), one["kind"]): one["token"] for one in self.leases
        }

    def runs(self, lease: Mapping[str, Any]) -> bool:
        """Tell whether the handler of this lease's job runs; the others are not begun, or have ended."""
        return self.running is not None and self.running["token"] == lease["token"]


class Parent:
    """The guardian of one worker; *queue* is the one that its pool serves."""

    def __init__(self, services: Services, slots: Slots, *, queue: str, worker: str, size: int) -> None:
        self._services = services
        self._slots = slots
        self._queue = queue
        self._worker = worker
        self._size = size
        self._children = [Child(index, slots[index]) for index in range(size)]
        self._stopped = threading.Event()
        self._renewed_at = 0.0
        self._beaten_at = services.clock.monotonic()
        self._asked_back: frozenset[Member] = frozenset()
        self._threads = [
            threading.Thread(target=self._forever, args=(step, every_s), name=name, daemon=True)
            for name, step, every_s in (
                ("guard", self._guard, EVERY_S),
                ("beat", self._beat, EVERY_S),
                ("due", self._wake_due, 0.0),
            )
        ]

    def start(self) -> None:
        """Start the threads; call it once the worker consumes."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Take no more work: the children give back what they run at its next checkpoint.

        What has not come to an end in the grace period is given back for them, and they are killed.
        """
        self._slots.close()
        threading.Thread(target=self._enforce_grace, name="grace", daemon=True).start()

    def stop(self) -> None:
        """Stop the threads and say that this worker is gone."""
        self._stopped.set()
        try:
            self._services.lanes.leave(self._queue, self._worker, self._size)
        except Unavailable:
            SWALLOWED.labels("parent.leave").inc()  # its sign of life runs out by itself

    def seconds_since_beat(self) -> float:
        """Return the age of the last sign of life that Redis took; a worker is healthy while it is small."""
        return self._services.clock.monotonic() - self._beaten_at

    def _forever(self, step: Callable[[], None], every_s: float) -> None:
        while not self._stopped.is_set():
            try:
                step()
            except (Unavailable, PyMongoError) as error:
                SWALLOWED.labels(f"parent.{threading.current_thread().name}").inc()
                log.warning("parent.step_failed", step=threading.current_thread().name, error=type(error).__name__)
                self._stopped.wait(EVERY_S)
            except Exception as error:  # noqa: BLE001 (without this thread the leases of healthy jobs would run out)
                SWALLOWED.labels(f"parent.{threading.current_thread().name}").inc()
                log.error("parent.step_raised", step=threading.current_thread().name, error=repr(error)[:500])
                self._stopped.wait(EVERY_S)
            self._stopped.wait(every_s)

    # guard

    def _guard(self) -> None:
        for child in self._children:
            child.look()
            if child.pid and not _is_alive(child.pid):
                self._bury(child)
        self._kill_overdue()
        self._kill_frozen()
        held = [one for child in self._children for one in child.held()]
        now = time.monotonic()
        if held and now - self._renewed_at >= self._services.settings.lease_s / 3:
            self._services.jobs.renew(held)
            self._renewed_at = now
        self._tell(held)

    def _tell(self, held: list[Held]) -> None:
        """Tell each child which of its leases were lost, whose jobs are to be cancelled or given back."""
        if not held:
            return
        news, asked_back = self._services.jobs.news(held), self._asked_back
        for child in self._children:
            tokens = {one.token for one in child.held()}
            wanted = {token for member, token in child.members().items() if member in asked_back}
            wanted |= tokens & news.asked_back
            if wanted or tokens & (news.lost | news.cancelled):
                notes = {"lost": tokens & news.lost, "cancelled": tokens & news.cancelled, "asked_back": wanted}
                child.slot.notes.post({what: list(those) for what, those in notes.items()})

    def _bury(self, child: Child) -> None:
        """Give back what a dead child held, charged with the loss, without waiting for the lease to run out."""
        log.warning("child.died", pid=child.pid, held=len(child.leases))
        # Its open transaction may hold a record: better try again in a second than let the others' leases run out.
        with pymongo.timeout(LOCKED_MAX_S):
            for held, lease in zip(child.held(), child.leases, strict=True):
                self._give_back(held, lease, charged=child.runs(lease))
        forget_process(child.pid)
        dead, child.pid, child.leases, child.carrier, child.running = child.carrier, 0, [], None, None
        child.slot.running.post(None)
        child.slot.held.post({"pid": 0, "carrier": None, "leases": []})
        if dead is not None:
            self._services.lanes.leave(self._queue, "", 0, [dead])

    def _give_back(self, held: Held, lease: Mapping[str, Any], *, charged: bool) -> None:
        if charged:
            shown = problem_of_loss(lease["kind"], lease["losses"] + 1, self._services.clock.now())
            LOSSES.labels(lease["kind"]).inc()
            is_charged = self._services.jobs.charge_loss(held, problem=shown, expired_only=False)
            given_back = is_charged and shown is None
            if is_charged and shown is not None:
                self._services.meter.add(held.org_id, "ended")
                self._services.meter.add(held.org_id, "failed")
        else:
            given_back = self._services.jobs.give_back(held)
        if given_back:
            member = Member(held.org_id, held.job_id, lease["kind"])
            alone = rides_alone(member.kind, lease["losses"] + charged)
            self._services.lanes.back_soon(self._queue, [Entry(self._queue, member, lease["priority"], alone)])

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.running is None or child.running["ends_at"] > now:
                continue
            over = [one for one in child.leases if child.runs(one)]
            if over and child.pid:
                log.warning("child.over_its_limit", pid=child.pid, kind=over[0]["kind"], job_id=over[0]["job_id"])
                _kill(child.pid)

    def _kill_frozen(self) -> None:
        """Kill a child that holds a lease and was stopped for longer than that lease: it can't hide behind it."""
        now = time.monotonic()
        for child in self._children:
            if not (child.pid and child.leases and _is_stopped(child.pid)):
                child.frozen_since = None
                continue
            child.frozen_since = child.frozen_since or now
            if now - child.frozen_since > self._services.settings.lease_s:
                log.warning("child.frozen", pid=child.pid)
                _kill(child.pid)

    # beat

    def _beat(self) -> None:
        carriers = [child.carrier for child in self._children if child.carrier is not None]
        claimed = [member for child in self._children for member in child.members()]
        slots = 0 if self._slots.is_closing else self._size
        answer = self._services.lanes.beat(
            self._queue,
            self._worker,
            slots,
            alive_s=ALIVE_S,
            hold_s=hold_s(self._services.settings.lease_s),
            carriers=carriers,
            claimed=claimed,
        )
        self._asked_back = answer.asked_back
        self._beaten_at = self._services.clock.monotonic()

    # due

    def _wake_due(self) -> None:
        next_s, members = self._services.lanes.due(self._queue)
        if members:
            awake = self._services.jobs.wake(members)
            self._services.lanes.admit_all(awake)
            gone = set(members) - {one.member for one in awake}
            if gone:
                self._services.lanes.forget(self._queue, gone)
            return
        self._services.lanes.wait_for_due(self._queue, DUE_EVERY_S if next_s is None else min(next_s, DUE_EVERY_S))

    # grace

    def _enforce_grace(self) -> None:
        ends_at = time.monotonic() + self._services.settings.grace_s
        while time.monotonic() < ends_at and not self._stopped.wait(0.1):
            if not any(self._busy()):
                return
        for child in self._busy():
            log.warning("child.given_back", pid=child.pid, held=len(child.leases))
            leases = list(zip(child.held(), child.leases, strict=True))
            _kill(child.pid)
            for held, lease in leases:
                self._give_back(held, lease, charged=False)
        os._exit(0)

    def _busy(self) -> list[Child]:
        for child in self._children:
            child.look()
        return [child for child in self._children if child.leases and child.pid]


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.NoSuchProcess:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        log.info("child.gone_already", pid=pid)
