"""A random schedule of faults and work, wholly decided by its seed before it starts."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import psutil
import redis
from common.probe.be_quick import BeQuick
from common.probe.have_children import HaveChildren
from common.probe.leave_marks import LeaveMarks
from pymongo.errors import PyMongoError

from common.errors import FairwayError
from common.ids import JobId, new_id
from common.jobs.kind import Job
from tests.faults.fleet import LEASE_S, QUEUE, Fleet

FELT = (PyMongoError, redis.RedisError, FairwayError, psutil.Error, ProcessLookupError)
"""What a verb may meet because an earlier fault still lasts."""
ANY_END = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Event:
    """Something that happens *at_s* seconds after the start."""

    at_s: float
    what: str
    do: Callable[["Run"], None] = field(compare=False)


@dataclass
class Run:
    """A fleet under a schedule: what was tried, and what may or may not have been accepted."""

    fleet: Fleet
    unsure: dict[JobId, tuple[Job, tuple[str, ...]]] = field(default_factory=dict)
    snapshot: dict[bytes, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def submit(self, job: Job, ends: tuple[str, ...], organization: int, delay_s: float) -> None:
        """Submit *job*; without an answer its outcome is unknown until `count_unsure`."""
        fleet, job_id = self.fleet, JobId(new_id())
        org_id = fleet.org_ids[organization]
        self.unsure[job_id] = (job, ends)
        run_at = fleet.services.clock.now() + timedelta(seconds=delay_s) if delay_s else None
        fleet.submit(job, org_id=org_id, ends=ends, job_id=job_id, run_at=run_at)
        del self.unsure[job_id]

    def count_unsure(self) -> None:
        """Count those among the accepted whose records are there after all."""
        for job_id, (job, ends) in self.unsure.items():
            for record in self.fleet.checker.records_of([job_id]):
                self.fleet.expect(record, job, ends)

    def one_of(self, states: tuple[str, ...], draw: float) -> JobId | None:
        """Choose a job in one of *states*."""
        found = [record for record in self.fleet.records() if record.state in states and not record.parent_id]
        return found[int(draw * len(found))].id if found else None

    def mend(self) -> None:
        """End every fault that lasts."""
        fleet = self.fleet
        for server, proxy in ((fleet.redis, fleet.to_redis), (fleet.mongo, fleet.to_mongo)):
            server.thaw()
            proxy.mend()
            proxy.delay_s = 0.0
            if server.pid is None:
                server.start()
        for name in (*fleet.workers, *fleet.sweepers):
            fleet.thaw(name)
        fleet.relieve_redis()


@dataclass(frozen=True)
class Plan:
    """What is to happen: the clients' work and the faults, each in its order."""

    work: list[Event]
    faults: list[Event]


def plan(seed: int, seconds: float) -> Plan:
    """Draw the whole schedule from *seed*."""
    draw = random.Random(seed)
    return Plan(
        sorted(_work(draw, seconds), key=lambda event: event.at_s),
        sorted(_faults(draw, seconds), key=lambda event: event.at_s),
    )


def carry_out_all(run: Run, events: Sequence[Event], started: float) -> None:
    """Let each of *events* happen at its time, or as soon after it as the one before is over."""
    for event in events:
        threading.Event().wait(max(0.0, started + event.at_s - time.monotonic()))
        carry_out(run, event)


def carry_out(run: Run, event: Event) -> None:
    """Let *event* happen; what it can't do because of another fault is noted, and no failure."""
    try:
        event.do(run)
        run.log.append(f"{event.at_s:6.1f} s  {event.what}")
    except FELT as error:
        run.log.append(f"{event.at_s:6.1f} s  {event.what} ({type(error).__name__})")


def _work(draw: random.Random, seconds: float) -> Iterator[Event]:
    at_s = 0.0
    while (at_s := at_s + draw.expovariate(5)) < seconds:
        yield _submission(draw, at_s)
    for _ in range(int(seconds)):
        at_s, which = draw.uniform(0, seconds), draw.random()
        yield Event(at_s, "a cancel", lambda run, which=which: _cancel(run, which))
        at_s, which = draw.uniform(0, seconds), draw.random()
        yield Event(at_s, "a retry", lambda run, which=which: _retry(run, which))


def _submission(draw: random.Random, at_s: float) -> Event:
    steps, pause_s, organization = draw.randint(1, 6), draw.choice((0.0, 0.02, 0.1)), draw.randrange(3)
    delay_s = draw.choice((0.0, 0.0, 0.0, draw.uniform(0.1, 5)))
    trouble = draw.choices(
        ("", "defer", "transient", "fail", "raise", "die", "quick", "children"), (40, 15, 10, 8, 4, 4, 14, 5)
    )[0]
    ends: tuple[str, ...] = ("succeeded",)
    job: Job
    match trouble:
        case "quick":
            job = BeQuick()
        case "children":
            job = HaveChildren(count=draw.randint(1, 8), steps=draw.randint(1, 2), failing=draw.choice((0, 3)))
        case "fail" | "raise":
            # A run that was lost before its trouble does not meet it again.
            times, ends = (1, ANY_END) if trouble == "fail" else (99, ("failed", "cancelled"))
            job = LeaveMarks(steps=steps, pause_s=pause_s, trouble=trouble, times=times, at=steps - 1)
        case _:
            job = LeaveMarks(steps=steps, pause_s=pause_s, trouble=trouble, at=draw.randrange(steps), defer_s=1.0)
    # Anything may be cancelled by hand, and a retry lets it go on.
    ends = tuple({*ends, "cancelled"})
    return Event(at_s, f"submit {trouble or 'work'}", lambda run: run.submit(job, ends, organization, delay_s))


def _cancel(run: Run, which: float) -> None:
    job_id = run.one_of(("queued", "waiting", "running"), which)
    if job_id is not None:
        org_id = run.fleet.accepted[job_id].org_id
        run.fleet.services.submitter.cancel(org_id, job_id)


def _retry(run: Run, which: float) -> None:
    job_id = run.one_of(("failed", "cancelled"), which)
    if job_id is not None:
        org_id = run.fleet.accepted[job_id].org_id
        run.fleet.services.submitter.retry(org_id, job_id)


def _faults(draw: random.Random, seconds: float) -> Iterator[Event]:
    at_s = 2.0
    while (at_s := at_s + draw.uniform(0.5, 4.0)) < seconds:
        worker, sweeper = draw.choice(("worker-1", "worker-2")), draw.choice(("sweeper-1", "sweeper-2"))
        lasts_s = draw.uniform(0.5, 2.5 * LEASE_S)
        yield from draw.choice(_FAULTS)(at_s, worker, sweeper, lasts_s)


Fault = Callable[[float, str, str, float], Iterator[Event]]


def _at_once(what: str, do: Callable[[Run, str, str], object]) -> Fault:
    def events(at_s: float, worker: str, sweeper: str, lasts_s: float) -> Iterator[Event]:
        del lasts_s
        yield Event(at_s, f"FAULT {what} ({worker}, {sweeper})", lambda run: (do(run, worker, sweeper), None)[1])

    return events


def _lasting(what: str, begin: Callable[[Run, str], object], end: Callable[[Run, str], object]) -> Fault:
    def events(at_s: float, worker: str, sweeper: str, lasts_s: float) -> Iterator[Event]:
        del sweeper
        shown = f"FAULT {what} ({worker}, {lasts_s:.1f} s)"
        yield Event(at_s, shown, lambda run: (begin(run, worker), None)[1])
        yield Event(at_s + lasts_s, f"end of {what}", lambda run: (end(run, worker), None)[1])

    return events


def _signal_child(run: Run, worker: str, number: int) -> None:
    os.kill(run.fleet.busiest_child(worker), number)


def _restart_redis(run: Run) -> None:
    run.fleet.redis.kill()
    run.fleet.redis.start()


def _restart_mongo(run: Run) -> None:
    run.fleet.mongo.kill()
    run.fleet.to_mongo.mend()  # a member that can't reach itself at its own address does not start
    run.fleet.mongo.start()


def _kill_all(run: Run) -> None:
    for name in (*run.fleet.workers, *run.fleet.sweepers):
        run.fleet.kill(name)


def _remember(run: Run) -> None:
    run.snapshot = run.fleet.take_snapshot()


def _restore(run: Run) -> None:
    run.fleet.restore_snapshot(run.snapshot)


def _garble(run: Run) -> None:
    client = run.fleet.raw_redis()
    with suppress(redis.ResponseError):
        client.zadd(f"fairway:lane:{QUEUE}:waiting", {b"\xff\xfe": 0, b"no member": 1})
        client.zadd(f"fairway:lane:{QUEUE}:workers", {b"many": float("inf")})
    client.set(f"fairway:lane:{QUEUE}:due", b"\x00garbage")
    client.lpush(f"fairway.{QUEUE}", b"[" * 1_000, b"not json", b"{}")


def _slow(run: Run, delay_s: float) -> None:
    run.fleet.to_redis.delay_s = run.fleet.to_mongo.delay_s = delay_s


_FAULTS: tuple[Fault, ...] = (
    _at_once("kill -9 of a child", lambda run, worker, _: _signal_child(run, worker, signal.SIGKILL)),
    _at_once("kill -9 of a child", lambda run, worker, _: _signal_child(run, worker, signal.SIGKILL)),
    _at_once("SIGSTOP of a child", lambda run, worker, _: _signal_child(run, worker, signal.SIGSTOP)),
    _at_once("kill -9 of a parent", lambda run, worker, _: run.fleet.kill_parent(worker)),
    _at_once("kill -9 of a worker", lambda run, worker, _: run.fleet.kill(worker)),
    _at_once("SIGTERM of a worker", lambda run, worker, _: run.fleet.terminate(worker)),
    _at_once("kill -9 of a sweeper", lambda run, _, sweeper: run.fleet.kill(sweeper)),
    _at_once("kill -9 of everything", lambda run, *_: _kill_all(run)),
    _lasting(
        "SIGSTOP of a worker",
        lambda run, worker: run.fleet.freeze(worker),
        lambda run, worker: run.fleet.thaw(worker),
    ),
    _at_once("Redis killed", lambda run, *_: _restart_redis(run)),
    _at_once("Redis flushed", lambda run, *_: run.fleet.flush()),
    _at_once("Redis copied", lambda run, *_: _remember(run)),
    _at_once("Redis put back", lambda run, *_: _restore(run)),
    _at_once("garbage in Redis", lambda run, *_: _garble(run)),
    _lasting("Redis frozen", lambda run, _: run.fleet.redis.freeze(), lambda run, _: run.fleet.redis.thaw()),
    _lasting("Redis full", lambda run, _: run.fleet.fill_redis(), lambda run, _: run.fleet.relieve_redis()),
    _lasting("Redis cut off", lambda run, _: run.fleet.to_redis.cut(), lambda run, _: run.fleet.to_redis.mend()),
    _at_once("Redis's connections reset", lambda run, *_: run.fleet.to_redis.reset()),
    _at_once("mongod killed", lambda run, *_: _restart_mongo(run)),
    _lasting("mongod frozen", lambda run, _: run.fleet.mongo.freeze(), lambda run, _: run.fleet.mongo.thaw()),
    _lasting("mongod cut off", lambda run, _: run.fleet.to_mongo.cut(), lambda run, _: run.fleet.to_mongo.mend()),
    _at_once("mongod's connections reset", lambda run, *_: run.fleet.to_mongo.reset()),
    _lasting("a slow network", lambda run, _: _slow(run, 0.05), lambda run, _: _slow(run, 0.0)),
)
