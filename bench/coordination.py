"""The limiter, the lock and the breaker beside the bare round trip they can't beat, and beside what others offer.

Both sides of a pair take turns in one process on one Redis, some hundred calls each; a ratio is the median of the
pairs, above 1 where we are faster. Memory is what Redis says of 10,000 tenants that have each used all they may.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import limits as peer
import redis
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.lock import Lock as PeerLock

from bench.rig import rig
from common.coordination.circuit_breaker import CircuitBreaker, Target
from common.coordination.lock import Lock
from common.coordination.memory import RedisMemory
from common.coordination.rate_limiter import RateLimiter, SlidingWindow, TokenBucket

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
CALLS = 100
TENANTS = 10_000
AN_HOUR = 1_000
PLENTY = 10_000_000
Call = Callable[[], Any]


def main() -> None:
    """Measure and print."""
    with rig() as made:
        client = redis.Redis.from_url(made.redis.url(3))
        memory = RedisMemory(client)
        limiter, lock = RateLimiter(client, memory=memory), Lock(client)
        _limiter(client, limiter, made.redis.url(3))
        _lock(client, lock)
        _breaker(client, CircuitBreaker(client, memory=memory))
        client.flushdb()
        _memory(client, made.redis.url(3))
        client.close()


def _limiter(client: "redis.Redis", limiter: RateLimiter, url: str) -> None:
    empty = client.script_load("return 1")
    one = (SlidingWindow(PLENTY, per_s=60),)
    three = (*one, SlidingWindow(PLENTY, per_s=3600), SlidingWindow(PLENTY, per_s=86400))
    bucket = (TokenBucket(PLENTY, per_s=60),)
    theirs, item = MovingWindowRateLimiter(RedisStorage(url)), peer.RateLimitItemPerMinute(1_000)
    ours = (SlidingWindow(1_000, per_s=60),)

    def bare() -> None:
        client.evalsha(empty, 0)

    show("take, one window / empty EVALSHA", bare, lambda: limiter.take("one", one), 0.8)
    show("take, one bucket / empty EVALSHA", bare, lambda: limiter.take("bucket", bucket), 0.8)
    show("take, three windows / empty EVALSHA", bare, lambda: limiter.take("three", three), 0.65)
    show("take / limits' moving window", lambda: theirs.hit(item, "a"), lambda: limiter.take("a", ours), 1.0)

    def hit_and_look() -> None:
        theirs.hit(item, "b")
        theirs.get_window_stats(item, "b")

    show("take / the same, with what is left and when", hit_and_look, lambda: limiter.take("b", ours), 1.0)


def _lock(client: "redis.Redis", lock: Lock) -> None:
    delete = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
    compare_and_delete = client.register_script(delete)

    def bare() -> None:
        client.set("bare", "token", nx=True, px=60_000)
        compare_and_delete(keys=["bare"], args=["token"])

    def theirs() -> None:
        held = PeerLock(client, "theirs", timeout=60)
        held.acquire(blocking=False)
        held.release()

    def ours() -> None:
        lock.release(lock.acquire("ours"))

    show("acquire and release / SET NX PX, compare and delete", bare, ours, 0.7)
    show("acquire and release, with a fence / redis-py's Lock", theirs, ours, 1.0)


def _breaker(client: "redis.Redis", breaker: CircuitBreaker) -> None:
    target = Target("api.example", credential="key", tenant="acme")

    def guarded() -> None:
        with breaker.guard(target):
            pass

    show("guard of a closed breaker / PING", client.ping, guarded, 10.0)


def _memory(client: "redis.Redis", url: str) -> None:
    limiter, exact = RateLimiter(client), SlidingWindow(AN_HOUR, per_s=3600)
    for _ in range(AN_HOUR):
        limiter.take("full", exact)
    theirs, item = MovingWindowRateLimiter(RedisStorage(url)), peer.RateLimitItemPerHour(AN_HOUR)
    for _ in range(AN_HOUR):
        theirs.hit(item, "full")
    (their_key,) = [key for key in client.scan_iter() if key.startswith(b"LIMITS")]
    our_key = "fairway:rate:calls:{full}:window:3600"
    # As the API has it: what falls on one 256th of the hour shares a place.
    now_us = int(time.time() * 1_000_000)
    pairs = [part for n in range(256) for part in (now_us + n * 14_062_500, n * 4)]
    client.rpush("coarse", AN_HOUR, 0, 0, *pairs)
    for name, key in (("exact", our_key), ("as the API has it", "coarse"), ("limits' moving window", their_key)):
        size_bytes = _copied(client, client.dump(key))
        each = size_bytes / TENANTS
        per_permit = each / AN_HOUR
        print(f"{name:52} {size_bytes / 1e6:7.1f} MB   {each:8.0f} bytes a tenant   {per_permit:5.2f} a permit")


def _copied(client: "redis.Redis", state: Any) -> int:
    """Return by how much Redis grows when 10,000 tenants have that state."""
    before = client.info("memory")["used_memory"]
    with client.pipeline(transaction=False) as pipe:
        for number in range(TENANTS):
            pipe.restore(f"copy:{{{number}}}:window:3600", 3_600_000, state)
        pipe.execute()
    grown = client.info("memory")["used_memory"] - before
    for start in range(0, TENANTS, 1_000):
        client.delete(*(f"copy:{{{number}}}:window:3600" for number in range(start, start + 1_000)))
    return int(grown)


def show(name: str, plain: Call, ours: Call, bound: float) -> None:
    """Let both take turns, and print the median ratio of plain to ours."""
    ratios, spent = [], []
    for call in (plain, ours):
        seconds(call)
    for _ in range(ROUNDS):
        theirs, own = seconds(plain), seconds(ours)
        ratios.append(theirs / own)
        spent.append(own / CALLS)
    low, high = statistics.quantiles(ratios, n=10)[0], statistics.quantiles(ratios, n=10)[-1]
    median = statistics.median(ratios)
    mark = "" if median >= bound else "   below"
    print(
        f"{name:52} {median:7.2f}   ({low:.2f} to {high:.2f})   bound {bound:g}{mark}   "
        f"{statistics.median(spent) * 1e6:.1f} us a call",
        flush=True,
    )


def seconds(call: Call) -> float:
    """Return how long `CALLS` calls take."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
