"""Redis dies, freezes, forgets, fills up and lies, and the network to it breaks: the truth is in MongoDB."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.probe.leave_marks import LeaveMarks

from deploy.local.servers import Redis
from tests.faults.fleet import LATER, LEASE_S, QUEUE, SWEEP_S, WORK, Fleet, until
from tests.redis_programs import redis_6_with_clock

LONGER_THAN_TIMEOUTS_S = 7.0


def test_killed_without_persistence(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("Redis killed without persistence"):
        fleet.redis.kill()
        fleet.submit(WORK, 5)  # a 202 stands without Redis
        fleet.redis.start()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_killed_with_an_append_only_file() -> None:
    fleet = Fleet(durable=True)
    try:
        fleet.start()
        fleet.load()
        with fleet.fault("Redis killed with AOF"):
            fleet.redis.kill()
            fleet.redis.start()
        fleet.settle()
        fleet.check()
    finally:
        fleet.close()


@pytest.mark.slow
def test_frozen(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("Redis frozen for longer than every timeout"):
        fleet.redis.freeze()
        fleet.submit(WORK, 2)
        fleet.pass_by(LONGER_THAN_TIMEOUTS_S)
        fleet.redis.thaw()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_flushed(fleet: Fleet) -> None:
    fleet.load()
    for _ in range(3):
        with fleet.fault("FLUSHALL"):
            fleet.flush()
        fleet.under_way(4)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_full(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("Redis full"):
        fleet.fill_redis()
        fleet.submit(WORK, 5)
        fleet.kill("worker-1")
        fleet.await_restart("worker-1", 0)  # a worker comes back to a full Redis
        fleet.under_way()  # what was admitted is drained all the same
        fleet.await_slots(4)
        fleet.relieve_redis()
    assert [fleet.supervisor.restarts_of(name) for name in fleet.workers] == [1, 0]  # the one that was killed

    fleet.settle()
    fleet.check()


@pytest.mark.parametrize("age_s", [10 * SWEEP_S, pytest.param(60.0, marks=pytest.mark.slow)])
def test_restored_from_an_old_snapshot(fleet: Fleet, age_s: float) -> None:
    fleet.load()
    snapshot = fleet.take_snapshot()
    fleet.under_way(40)
    fleet.pass_by(age_s)
    fleet.submit(WORK, 20)
    fleet.under_way()
    with fleet.fault(f"Redis restored from a snapshot {age_s:g} s old"):
        fleet.restore_snapshot(snapshot)

    fleet.settle()
    fleet.check()


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Return the file that says by how much Redis's clock is off."""
    file = tmp_path / "clock"
    file.write_text("+0", encoding="ascii")
    return file


@pytest.fixture
def clocked(tmp_path: Path, clock: Path) -> Iterator[Fleet]:
    """Run a fleet whose Redis has a clock that can be set."""
    fleet = Fleet(redis=Redis(tmp_path, program=redis_6_with_clock(clock)))
    try:
        yield fleet.start()
    finally:
        fleet.close()


@pytest.mark.slow
@pytest.mark.parametrize("off", ["-3600", "+3600"])
def test_its_clock_is_set(clocked: Fleet, clock: Path, off: str) -> None:
    fleet = clocked
    fleet.submit(LeaveMarks(steps=4, trouble="defer", defer_s=4.0), 4)
    until(lambda: fleet.checker.due(QUEUE) == 4, "jobs that wait for a time", report=fleet.report)
    fleet.submit(WORK, 30)
    fleet.under_way()
    before = fleet.raw_redis().time()[0]
    with fleet.fault(f"Redis's clock set by {off} s"):
        clock.write_text(off, encoding="ascii")
        fleet.kill("worker-1")
    assert abs(fleet.raw_redis().time()[0] - before) > 3_000

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_garbage_in_the_place_of_every_key(fleet: Fleet) -> None:
    fleet.load()
    client = fleet.raw_redis()
    for key in {*client.keys("fairway*"), b"fairway:epoch", b"fairway:sequence", b"fairway:quarantine"}:
        with fleet.fault("garbage in the place of every key"):
            client.delete(key)
            client.set(key, random.Random(1).randbytes(40))
        fleet.submit(WORK, 1)

    fleet.settle()
    fleet.check()


def test_garbage_inside_every_key(fleet: Fleet) -> None:
    fleet.load()
    client = fleet.raw_redis()
    for part, garbage in GARBAGE.items():
        with fleet.fault("garbage inside every key"):
            client.zadd(f"fairway:lane:{QUEUE}:{part}", dict(garbage))
        fleet.submit(LATER, 1)
    for part, fields in GARBAGE_FIELDS.items():
        with fleet.fault("garbage inside every key"):
            client.hset(f"fairway:lane:{QUEUE}:{part}", mapping=fields)
        fleet.submit(LATER, 1)
    with fleet.fault("garbage inside every key"):
        client.mset({"fairway:sequence": b"\xff", "fairway:epoch": b"\xff"})

    fleet.settle()
    fleet.check()


GARBAGE = {
    part: [(b"\xff\xfe", 0), (b"no member", 1), (b"inf", float("inf")), (b"x|y", 1e15), (b"a|b", -1e15)]
    for part in ("waiting", "taken", "carriers", "idle", "workers", "due")
}
GARBAGE_FIELDS = {
    "tries": {b"\xff": b"\xff", b"no member": b"x y z"},
    "counters": {b"slots": b"many", b"admitted": b"\xff", b"carriers": b"", b"retaken": b"-"},
}


def test_half_open_connections(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("half-open connections to Redis"):
        fleet.to_redis.cut()
        fleet.pass_by(3 * LEASE_S)
        fleet.to_redis.mend()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_reset_connections(fleet: Fleet) -> None:
    fleet.load()
    for _ in range(5):
        with fleet.fault("every connection to Redis reset"):
            fleet.to_redis.reset()
        fleet.under_way(2)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_a_slow_network(fleet: Fleet) -> None:
    with fleet.fault("0.2 s of delay to Redis, each way"):
        fleet.to_redis.delay_s = 0.2
        fleet.submit(WORK, 10)
        fleet.settle(120)
    fleet.to_redis.delay_s = 0.0

    fleet.check()
