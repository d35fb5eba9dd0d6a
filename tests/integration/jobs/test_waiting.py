"""What a handler may wait for, through the real runner; an overtaken holder of a lock writes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from common.probe.call_outside import CallOutside
from common.probe.marks import MARKS

from common.caller import Caller
from common.coordination.circuit_breaker import Target
from common.errors import LockLost, Unavailable
from common.jobs.leases import Claimed
from common.services import Services
from tests.integration.conftest import Slot
from workers.context import Context
from workers.runner import Outcome

HOST = "api.example"


def claimed(services: Services, slot: Slot, caller: Caller, job: CallOutside) -> Claimed:
    services.submit(caller, job)
    member = slot.take()
    assert member is not None
    found = slot.claim(member)
    assert found is not None
    return found


def run(services: Services, slot: Slot, caller: Caller, **options: object) -> Outcome:
    return slot.run(claimed(services, slot, caller, CallOutside(host=HOST, **options)))  # type: ignore[arg-type]


def test_a_limit_defers_until_its_turn(services: Services, slot: Slot, caller: Caller) -> None:
    first = run(services, slot, caller, permits=1, per_s=30)
    second = run(services, slot, caller, permits=1, per_s=30)

    assert first.ending == "succeeded"
    assert (second.ending, second.reason, second.charged) == ("deferred", "rate_limit", False)
    assert 25 < second.delay_s <= 30


def test_a_held_lock_defers_but_not_for_all_of_its_time(services: Services, slot: Slot, caller: Caller) -> None:
    services.locks.acquire(f"{caller.org_id}:source", 600)

    outcome = run(services, slot, caller, lock="source")

    assert (outcome.ending, outcome.reason, outcome.delay_s) == ("deferred", "lock", 5)


def test_a_lock_is_of_its_organization(services: Services, slot: Slot, caller: Caller) -> None:
    services.locks.acquire("another:source", 600)
    services.locks.acquire("source", 600)

    assert run(services, slot, caller, lock="source").ending == "succeeded"


def test_retry_after_defers_and_holds_the_credential_back(services: Services, slot: Slot, caller: Caller) -> None:
    told = run(services, slot, caller, answer="429", credential="bad", per_s=40)
    same = run(services, slot, caller, credential="bad")
    other = run(services, slot, caller, credential="good")

    assert (told.ending, told.reason) == ("deferred", "retry_after")
    assert told.delay_s == pytest.approx(40, abs=1)
    assert (same.ending, same.delay_s) == ("deferred", pytest.approx(40, abs=2))
    assert other.ending == "succeeded"


def test_an_open_breaker_defers(services: Services, slot: Slot, caller: Caller) -> None:
    target = Target(HOST, tenant=caller.org_id)
    for _ in range(5):
        with pytest.raises(ConnectionError), services.breaker.guard(target):
            raise ConnectionError

    outcome = run(services, slot, caller)

    assert (outcome.ending, outcome.reason) == ("deferred", "circuit_open")
    assert 20 < outcome.delay_s <= 30


def test_an_ill_host_is_a_failed_attempt(services: Services, slot: Slot, caller: Caller) -> None:
    assert run(services, slot, caller, answer="ill").ending == "retry"


@pytest.mark.parametrize("lock", ["", "source"])
def test_without_redis_a_call_that_nobody_counts_is_not_made(
    services: Services, slot: Slot, caller: Caller, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    job = claimed(services, slot, caller, CallOutside(host=HOST, lock=lock))

    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError

    for part in (services.outside_limiter, services.locks):
        monkeypatch.setattr(part._script, "_execute", away)
    outcome = slot.run(job)

    assert (outcome.ending, outcome.reason, outcome.charged) == ("deferred", "coordination_unavailable", False)


def test_an_overtaken_holder_writes_nothing(services: Services, slot: Slot, caller: Caller) -> None:
    ctx = Context(services, claimed(services, slot, caller, CallOutside(host=HOST)))
    late = services.locks.acquire("source", 60)
    services.locks.reset("source")  # as if it had been stopped for longer than a minute
    next_one = services.locks.acquire("source", 60)

    ctx.write(lambda scope: scope[MARKS].insert_one({"_id": "next", "job_id": "x"}), under=next_one)
    with pytest.raises(LockLost):
        ctx.write(lambda scope: scope[MARKS].insert_one({"_id": "late", "job_id": "x"}), under=late)
    ctx.write(lambda scope: scope[MARKS].insert_one({"_id": "again", "job_id": "x"}), under=next_one)

    assert {mark["_id"] for mark in ctx.scope[MARKS].find({})} == {"next", "again"}


def test_a_lock_that_is_lost_in_the_work_is_a_failed_attempt(
    services: Services, slot: Slot, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = services.locks.hold

    @contextmanager
    def lose(name: str, ttl_s: float, **options: str) -> Iterator[object]:
        with hold(name, ttl_s, **options) as lease:
            services.locks.reset(name)
            services.locks.acquire(name, 60)
            yield lease

    monkeypatch.setattr(services.locks, "hold", lose)

    outcome = run(services, slot, caller, lock="source")

    assert (outcome.ending, outcome.code, outcome.charged) == ("retry", "lock-lost", True)


def test_a_breaker_without_redis_lets_calls_pass(
    services: Services, slot: Slot, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(services.breaker, "_script", away)

    assert run(services, slot, caller).ending == "succeeded"
