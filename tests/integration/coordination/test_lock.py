"""The lock by example, on fakeredis, Redis 6.2 and Redis 7."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis

from common.coordination.lock import PREFIX, TTL_MAX_S, Held, Lock
from common.coordination.names import escaped
from common.errors import LockHeld, LockLost, Unavailable
from deploy.local.servers import Redis
from tests.integration.coordination.conftest import Stand

NAME = "source:42"
HOSTILE = ["*", ":", "{}", "{", "}", "a:b{c}*d", "x" * 500, "🦀" * 100, "\udc80", "é", " ", "%2A", "\x00"]


@pytest.fixture
def epochs() -> "itertools.count[int]":
    return itertools.count(1)


@pytest.fixture
def lock(stand: Stand, epochs: "itertools.count[int]") -> Lock:
    return Lock(stand.client, next_epoch=lambda: next(epochs), holder="me")


@pytest.fixture
def lock_on_still(still: Stand, epochs: "itertools.count[int]") -> Lock:
    return Lock(still.client, next_epoch=lambda: next(epochs), holder="me")


def key(name: str = NAME) -> str:
    return f"{PREFIX}{escaped(name)}"


def test_a_lock_is_held_until_it_is_released(lock: Lock) -> None:
    before = lock.status(NAME)
    lease = lock.acquire(NAME)
    during = lock.status(NAME)

    assert lock.release(lease)
    assert (before, lock.status(NAME)) == (None, None)
    assert during is not None
    assert (during.name, during.holder, during.fence) == (NAME, "me", lease.fence)


def test_two_do_not_hold_it_at_once(stand: Stand, lock: Lock) -> None:
    lease = lock.acquire(NAME, 5)

    with pytest.raises(LockHeld) as held:
        lock.acquire(NAME, 5)

    assert held.value.retry_after_s == stand.about(5)
    lock.release(lease)
    assert lock.acquire(NAME, 5).fence > lease.fence


def test_another_lock_object_competes_for_the_same_name(stand: Stand, lock: Lock) -> None:
    other = Lock(stand.client)
    lease = lock.acquire(NAME)

    with pytest.raises(LockHeld):
        other.acquire(NAME)
    assert other.status(NAME) is not None
    lock.release(lease)
    assert other.acquire(NAME).token != lease.token


@pytest.mark.parametrize("ttl_s", [10, 9.5, 0.1])
def test_it_always_has_a_time_to_live(stand: Stand, lock: Lock, ttl_s: float) -> None:
    lock.acquire(NAME, ttl_s)

    assert 0 < stand.client.pttl(key()) <= ttl_s * 1000


@pytest.mark.parametrize("ttl_s", [0, -1, 0.01, TTL_MAX_S + 1, float("nan"), float("inf")])
def test_a_time_to_live_is_bounded(lock: Lock, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="seconds at a time"):
        lock.acquire(NAME, ttl_s)
    lease = lock.acquire(NAME)
    with pytest.raises(ValueError, match="seconds at a time"):
        lock.renew(lease, ttl_s)


def test_it_is_free_when_its_time_is_over(stand: Stand, lock: Lock) -> None:
    first = lock.acquire(NAME, 0.3)
    stand.advance(0.31)

    second = lock.acquire(NAME, 5)

    assert second.fence > first.fence


def test_a_late_release_does_not_free_the_next_owner(stand: Stand, lock: Lock) -> None:
    late = lock.acquire(NAME, 0.2)
    stand.advance(0.21)
    owner = lock.acquire(NAME, 5)

    assert not lock.release(late)
    assert not lock.release(late)
    status = lock.status(NAME)
    assert status is not None
    assert status.fence == owner.fence


def test_who_died_takes_over_what_it_held_itself(lock: Lock) -> None:
    dead = lock.acquire(NAME, 60, holder="job 1")

    with pytest.raises(LockHeld):
        lock.acquire(NAME, 60, holder="job 2", inherits=True)
    with pytest.raises(LockHeld):
        lock.acquire(NAME, 60, holder="job 1")
    risen = lock.acquire(NAME, 60, holder="job 1", inherits=True)

    assert risen.fence > dead.fence
    with pytest.raises(LockLost):
        lock.renew(dead)
    assert not lock.release(dead)
    assert lock.renew(risen).fence == risen.fence


def test_a_late_renewal_is_refused(stand: Stand, lock: Lock) -> None:
    late = lock.acquire(NAME, 0.2)
    stand.advance(0.21)

    with pytest.raises(LockLost, match=NAME):
        lock.renew(late)
    lock.acquire(NAME, 5)
    with pytest.raises(LockLost):
        lock.renew(late)


def test_a_renewal_lasts_from_now(stand: Stand, lock: Lock) -> None:
    lease = lock.acquire(NAME, 10)

    same = lock.renew(lease)
    longer = lock.renew(lease, 20)
    after_longer = stand.client.pttl(key())
    shorter = lock.renew(lease, 0.5)

    assert same.fence == longer.fence == lease.fence
    assert shorter.expires_at < lease.expires_at < longer.expires_at
    assert 10_000 < after_longer <= 20_000
    assert stand.client.pttl(key()) <= 500


def test_what_is_not_held_can_not_be_renewed_or_released(lock: Lock) -> None:
    lease = lock.acquire(NAME)
    lock.release(lease)

    assert not lock.release(lease)
    with pytest.raises(LockLost):
        lock.renew(lease)


def test_a_lock_whose_record_is_not_ours_is_taken_over(stand: Stand, lock: Lock) -> None:
    lease = lock.acquire(NAME)
    stand.client.set(key(), "x")

    with pytest.raises(LockLost):
        lock.renew(lease)
    assert not lock.release(lease)
    assert lock.acquire(NAME).fence > lease.fence


def test_fences_rise_over_all_names(lock: Lock) -> None:
    fences = []
    for number in range(30):
        lease = lock.acquire(f"name {number % 3}")
        fences.append(lease.fence)
        lock.release(lease)

    assert fences == sorted(set(fences))


def test_fences_rise_though_redis_forgot(stand: Stand, lock: Lock) -> None:
    before = lock.acquire(NAME)
    stand.client.flushall()

    after = lock.acquire(NAME)

    assert after.fence > before.fence
    assert not lock.release(before)


def test_fences_rise_though_redis_forgot_and_its_clock_was_set_back(still: Stand, lock_on_still: Lock) -> None:
    before = lock_on_still.acquire(NAME)
    still.client.flushall()
    still.advance(-7200)

    assert lock_on_still.acquire(NAME).fence > before.fence


def test_fences_rise_though_their_numbers_were_put_back(stand: Stand, lock: Lock) -> None:
    lock.release(lock.acquire(NAME))
    old = stand.client.get("fairway:lock:{locks}:fences")
    assert isinstance(old, bytes)
    issued = [lock.acquire(f"{n}").fence for n in range(5)]

    # As a restart from a snapshot: the same numbers, but of another run of the server.
    stand.client.set("fairway:lock:{locks}:fences", b"0123abcd" + old[old.index(b" ") :])

    assert lock.acquire("next").fence > max(issued)


def test_fences_rise_though_a_running_redis_was_put_back(stand: Stand, lock: Lock) -> None:
    lock.release(lock.acquire(NAME))
    snapshot = {key: stand.client.dump(key) for key in stand.client.scan_iter()}
    issued = []
    for _ in range(5):
        stand.advance(0.01)
        issued.append(lock.acquire(NAME).fence)
        lock.reset(NAME)

    stand.client.flushall()
    for name, value in snapshot.items():
        assert isinstance(value, bytes)
        stand.client.restore(name, 0, value)
    stand.advance(0.01)

    assert lock.acquire(NAME).fence > max(issued)


def test_an_epoch_that_was_drawn_before_another_loss_is_not_used(stand: Stand) -> None:
    epochs = itertools.count(1)
    slow_is_asking, others_are_done = threading.Event(), threading.Event()

    def slow_epoch() -> int:
        drawn = next(epochs)
        if not others_are_done.is_set():
            slow_is_asking.set()
            others_are_done.wait(20)
        return drawn

    slow, quick = Lock(stand.client, next_epoch=slow_epoch), Lock(stand.client, next_epoch=lambda: next(epochs))
    late: list[int] = []
    thread = threading.Thread(target=lambda: late.append(slow.acquire("slow").fence))
    thread.start()
    assert slow_is_asking.wait(20)
    issued = [quick.acquire("a").fence]
    stand.client.flushall()
    issued.append(quick.acquire("a").fence)
    stand.client.flushall()
    others_are_done.set()
    thread.join(20)

    assert late[0] > max(issued)


def test_a_full_epoch_is_followed_by_the_next(stand: Stand, lock: Lock) -> None:
    first = lock.acquire("a")
    fences = stand.client.get("fairway:lock:{locks}:fences")
    assert isinstance(fences, bytes)
    run, epoch, _, began = fences.split(b" ")
    stand.client.set("fairway:lock:{locks}:fences", b"%s %s %d %s" % (run, epoch, 2**32 - 2, began))

    last, next_one = lock.acquire("b"), lock.acquire("c")

    assert first.fence < last.fence < next_one.fence < 2**63


def test_a_redis_that_forgets_all_the_time_is_given_up(stand: Stand) -> None:
    lock = Lock(stand.client, next_epoch=lambda: stand.client.flushall() and 1)

    with pytest.raises(Unavailable):
        lock.acquire(NAME)


def test_a_clock_that_was_set_back_does_not_prolong_a_lock(still: Stand, lock_on_still: Lock) -> None:
    lock_on_still.acquire(NAME, 5)
    still.advance(-7200)

    with pytest.raises(LockHeld) as held:
        lock_on_still.acquire(NAME, 5)
    still.advance(5.001)

    assert held.value.retry_after_s <= 5
    lock_on_still.acquire(NAME, 5)


def test_the_block_holds_the_lock_and_releases_it(lock: Lock) -> None:
    with lock.hold(NAME) as lease:
        inside = lock.status(NAME)

    assert inside is not None
    assert inside.fence == lease.fence
    assert lock.status(NAME) is None


def test_the_block_does_not_run_while_somebody_holds_the_lock(stand: Stand, lock: Lock) -> None:
    lock.acquire(NAME)

    with pytest.raises(LockHeld), Lock(stand.client).hold(NAME):
        pytest.fail("it must not run")


def test_an_error_in_the_block_frees_the_lock_and_is_the_one_that_is_raised(lock: Lock) -> None:
    with pytest.raises(ZeroDivisionError), lock.hold(NAME):
        raise ZeroDivisionError

    assert lock.status(NAME) is None


def test_the_block_keeps_the_lock_for_longer_than_its_time(seven_lock: Lock) -> None:
    with seven_lock.hold(NAME, 1.0) as lease:
        for _ in passing(3.4):
            status = seven_lock.status(NAME)
            assert status is not None
            assert status.fence == lease.fence


def test_a_loss_is_raised_into_the_block(seven_lock: Lock) -> None:
    steps = 0

    with pytest.raises(LockLost, match=NAME), seven_lock.hold(NAME, 0.3):
        seven_lock.reset(NAME)
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            steps += 1

    assert time.monotonic() < ends_at - 10
    assert steps > 0


def test_a_loss_in_the_last_moment_is_raised_at_the_end_of_the_block(seven_lock: Lock) -> None:
    with pytest.raises(LockLost, match=NAME), seven_lock.hold(NAME, 60):
        seven_lock.reset(NAME)


def test_an_error_of_the_work_goes_before_a_loss_in_the_last_moment(seven_lock: Lock) -> None:
    with pytest.raises(ZeroDivisionError), seven_lock.hold(NAME, 60):
        seven_lock.reset(NAME)
        raise ZeroDivisionError


def test_losses_never_leak_out_of_their_block(seven_lock: Lock) -> None:
    """Lose locks at every moment of a short block: each loss is raised in the block or at its end, never later."""
    lost = 0
    for number in range(60):
        name = f"{number}"
        with suppress(LockLost):
            try:
                with seven_lock.hold(name, 0.1):
                    seven_lock.reset(name)
                    ends_at = time.monotonic() + 0.030 + number * 0.0002
                    while time.monotonic() < ends_at:
                        pass
            except LockLost:
                lost += 1
                raise
        for _ in range(200):
            str(number)

    assert lost == 60


def test_a_redis_that_is_away_for_a_moment_costs_no_lock(
    seven_lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew, calls = seven_lock.renew, itertools.count()

    def flaky(*arguments: object) -> object:
        if next(calls) == 0:
            raise Unavailable("away")
        return renew(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(seven_lock, "renew", flaky)
    with seven_lock.hold(NAME, 0.6):
        for _ in passing(0.9):
            assert seven_lock.status(NAME) is not None


def test_a_redis_that_stays_away_costs_the_lock(seven_lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> object:
        raise Unavailable("away")

    monkeypatch.setattr(seven_lock, "renew", away)
    with pytest.raises(LockLost), seven_lock.hold(NAME, 0.3):
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            pass

    assert time.monotonic() < ends_at - 10


def test_an_operator_can_free_a_lock(lock: Lock) -> None:
    lease = lock.acquire(NAME, holder="a job")

    freed = lock.reset(NAME)

    assert freed is not None
    assert (freed.holder, freed.fence) == ("a job", lease.fence)
    assert lock.reset(NAME) is None
    assert lock.acquire(NAME).fence > lease.fence


def test_locks_are_listed_with_who_holds_them(lock: Lock) -> None:
    names = {f"name {number}" for number in range(50)} | set(HOSTILE)
    for name in names:
        lock.acquire(name, holder="holder of\nthe  lock")

    found: list[Held] = []
    while page := lock.all_held(escaped(found[-1].name) if found else "", 10):
        found += page

    assert len(found) == len(names)
    assert {one.name for one in found} == names
    assert {one.holder for one in found} == {"holder of the lock"}
    assert all(one.since <= one.until for one in found)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_lock_of_its_own(lock: Lock, name: str) -> None:
    lease = lock.acquire(name)
    others = [lock.acquire(other) for other in HOSTILE if other != name]

    assert lock.release(lease)
    assert all(lock.release(other) for other in others)


@pytest.mark.parametrize("name", ["", "x" * 501])
def test_a_name_is_bounded(lock: Lock, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 500"):
        lock.acquire(name)


def test_an_answer_that_was_lost_does_not_lock_its_caller_out(lock: Lock) -> None:
    first = lock._acquire(NAME, ("token", 5000, "", 0))
    again = lock._acquire(NAME, ("token", 5000, "", 0))

    assert [int(one) for one in again[1:]] == [int(one) for one in first[1:]]


def test_no_key_is_left_after_everything_has_expired(still: Stand, lock_on_still: Lock) -> None:
    lock_on_still.acquire(NAME, 5)
    with pytest.raises(LockHeld):
        lock_on_still.acquire(NAME, 5)
    still.client.flushall()
    with suppress(Unavailable):
        Lock(still.client, next_epoch=lambda: still.client.flushall() and 1).acquire("b")

    still.advance(3601)

    assert still.client.keys() == []


@pytest.fixture
def seven_lock(seven: Redis) -> Lock:
    """Return a lock on Redis 7, whose clock is the real one: these tests have threads that wait on it."""
    client = redis.Redis(port=seven.port)
    client.flushall()
    return Lock(client)


def passing(seconds: float) -> Iterator[None]:
    """Go round as often as *seconds* allow."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        yield


def test_a_key_of_another_type_locks_nobody_out(stand: Stand, lock: Lock) -> None:
    before = lock.acquire(NAME)
    lock.release(before)
    for garbage in (key(), "fairway:lock:{locks}:fences", "fairway:lock:{locks}:asked"):
        stand.client.delete(garbage)
        stand.client.rpush(garbage, "x")

        lease = lock.acquire(NAME)
        assert lease.fence > before.fence
        lock.release(lease)


def test_what_is_no_lock_is_not_listed(stand: Stand, lock: Lock) -> None:
    lock.acquire("mine")
    stand.client.set(key("theirs"), "x y z")

    assert [one.name for one in lock.all_held()] == ["mine"]
    assert lock.status("theirs") is None
