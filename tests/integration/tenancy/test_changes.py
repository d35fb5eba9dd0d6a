"""What is remembered is let go when it changes: on every process, with Redis and without it, never too late."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from common.config import Settings
from common.services import connect_redis
from common.tenancy import changes as changes_module
from common.tenancy.cache import Cache, Versioned
from common.tenancy.changes import GONE, Changes
from common.tenancy.control import ControlPlane
from common.tenancy.remembered import ALONE_S, Remembered

WITHIN_S = 5.0
"""What the contract promises of a revocation."""


class Process:
    """The memory of one process, and what it reads from the truth."""

    def __init__(self, control: ControlPlane, truth: dict[str, Versioned], url: str | None) -> None:
        self.truth = truth
        self.client = connect_redis(url, timeout_s=0.5) if url is not None else None
        self.subscriber = connect_redis(url) if url is not None else None
        cache = Cache(self.client) if self.client is not None else None
        self.changes = Changes(control, cache, self.subscriber)
        self.remembered = Remembered(self.changes, cache)
        self.reads = 0

    def get(self, key: str = "a") -> Any:
        """Return what this process says of *key*."""
        return self.remembered.get(key, lambda: self._read(key), lambda value: value)

    def _read(self, key: str) -> Versioned | None:
        self.reads += 1
        return self.truth.get(key)

    def change(self, key: str, version: int, value: Any) -> None:
        """Change the truth, as one transaction would, and tell."""

        def work(change: Any) -> None:
            change.note(key, version if value is not None else GONE)
            if value is None:
                self.truth.pop(key)
            else:
                self.truth[key] = Versioned(version, value)

        self.changes.transact(work)

    def close(self) -> None:
        """Stop."""
        self.changes.stop()
        for client in (self.client, self.subscriber):
            if client is not None:
                client.close()


Make = Callable[..., Process]


@pytest.fixture
def truth() -> dict[str, Versioned]:
    """Return what MongoDB would say."""
    return {"a": Versioned(1, "before")}


@pytest.fixture
def process(control: ControlPlane, settings: Settings, truth: dict[str, Versioned]) -> Iterator[Make]:
    """Return a maker of processes."""
    made: list[Process] = []
    control.changes.delete_many({})

    def make(*, with_redis: bool = True, listens: bool = True) -> Process:
        one = Process(control, truth, settings.redis_url.get_secret_value() if with_redis else None)
        made.append(one)
        if listens:
            one.changes.listen()
            until(lambda: one.changes.is_fresh)
        return one

    yield make
    for one in made:
        one.close()


def until(is_so: Callable[[], bool], within_s: float = WITHIN_S) -> float:
    """Return after how many seconds it is so; fail if that takes longer than *within_s*."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within_s
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.parametrize("with_redis", [True, False])
@pytest.mark.parametrize("value", ["after", None])
def test_every_process_lets_go_of_what_another_changed(process: Make, value: Any, *, with_redis: bool) -> None:
    here, there = process(with_redis=with_redis), process(with_redis=with_redis)
    assert (here.get(), there.get()) == ("before", "before")

    here.change("a", 2, value)

    assert here.get() == value
    took_s = until(lambda: there.get() == value)
    print(f"let go after {took_s:.3f} s, Redis: {with_redis}")


def test_a_process_that_hears_nothing_remembers_for_two_seconds(process: Make) -> None:
    deaf, here = process(listens=False), process()
    assert deaf.get() == "before"

    here.change("a", 2, "after")

    assert until(lambda: deaf.get() == "after") <= ALONE_S + 0.5


def test_a_process_that_lost_mongodb_no_longer_trusts_what_it_heard(
    process: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, here = process(with_redis=False), process(with_redis=False)
    assert cut.get() == "before"
    monkeypatch.setattr(cut.changes, "look", lambda: None)  # it asks, and hears nothing new

    here.change("a", 2, "after")

    assert until(lambda: cut.get() == "after") <= WITHIN_S


def test_what_is_known_is_read_once_and_shared(process: Make) -> None:
    first, second = process(), process()

    for _ in range(10):
        assert (first.get(), second.get()) == ("before", "before")

    assert first.reads + second.reads == 1


def test_what_was_read_before_a_change_and_brought_after_it_is_refused(process: Make, settings: Settings) -> None:
    here, slow = process(), process()
    real = slow._read

    def is_overtaken(key: str) -> Versioned | None:
        found = real(key)
        here.change(key, 2, "after")
        until(lambda: slow.changes.least(key) == 2)
        return found

    slow._read = is_overtaken  # type: ignore[method-assign]
    slow.get()
    slow._read = real  # type: ignore[method-assign]

    assert slow.get() == "after"
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        assert client.hget("fairway:known:a", "value") != b'"before"'


def test_what_a_redis_that_came_back_still_says_is_refused(process: Make, settings: Settings) -> None:
    here, there = process(), process()
    assert there.get() == "before"
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        kept = client.dump("fairway:known:a")
        here.change("a", 2, "after")
        until(lambda: there.get() == "after")
        client.restore("fairway:known:a", 60_000, kept, replace=True)

        late = process()

        assert late.get() == "after"


@pytest.mark.parametrize("broken", [b"{", b"", b"\xff"])
def test_what_redis_should_not_hold_is_read_from_mongodb(process: Make, settings: Settings, broken: bytes) -> None:
    here = process()
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.hset("fairway:known:a", mapping={"version": b"x", "value": broken})

        assert here.get() == "before"


def test_a_change_that_is_rolled_back_is_told_to_nobody(process: Make) -> None:
    here = process()

    def fails(change: Any) -> None:
        change.note("a", 5)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 (the one that is raised above)
        here.changes.transact(fails)

    assert here.changes.least("a") == 0


def test_a_transaction_that_took_long_is_heard_of(process: Make) -> None:
    here, there = process(), process()
    there.get()

    def slow(change: Any) -> None:
        change.note("a", 2)
        for _ in range(3):  # others change things meanwhile, and are heard of first
            until(lambda: True)
            there.change("b", int(time.monotonic() * 1000), "x")

    here.changes.transact(slow)

    heard_s = until(lambda: there.changes.least("a") == 2)
    assert heard_s < WITHIN_S


def test_the_notes_of_the_last_minute_are_found_by_their_index(control: ControlPlane) -> None:
    control.changes.create_indexes(list(changes_module.CHANGES_INDEXES))
    since = {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": 60}}

    plan = control.changes.find({"$expr": {"$gte": ["$at", since]}}).explain()

    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])


def test_what_is_remembered_is_bounded(process: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.tenancy.remembered.MOST", 10)
    here = process(with_redis=False)
    for number in range(50):
        here.truth[str(number)] = Versioned(1, number)
        here.get(str(number))

    assert len(here.remembered._entries) == 10
    assert changes_module.KEPT_S > changes_module.CACHED_S + changes_module.WINDOW_S
