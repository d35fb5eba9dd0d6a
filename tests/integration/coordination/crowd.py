"""Processes that hammer one Redis: each is `python -m tests.integration.coordination.crowd what port seconds ...`.

Each says when it is ready, and is told when all begin. A line of JSON each goes to standard output;
the test adds them up.
"""

import json
import random
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import redis
import structlog

from common.coordination.circuit_breaker import CircuitBreaker, Rules, Target
from common.coordination.lock import Lock
from common.coordination.rate_limiter import RateLimiter, SlidingWindow, TokenBucket, Turn
from common.errors import CircuitOpen, LockHeld, LockLost

Say = Callable[..., None]
READY = "ready"


def take(client: "redis.Redis", lasts_s: float, say: Say, *own: str) -> None:
    """Take as fast as the limit says, and tell each permit's instants before and after the call."""
    kind, permits, per_s = own
    limit = (SlidingWindow if kind == "window" else TokenBucket)(int(permits), float(per_s))
    limiter, ends_at = RateLimiter(client), time.monotonic() + lasts_s
    while time.monotonic() < ends_at:
        before = time.monotonic()
        verdict = limiter.take("crowd", limit)
        if verdict.allowed:
            say(before, time.monotonic())
        else:
            time.sleep(min(verdict.retry_after_s, max(0.0, ends_at - time.monotonic())) * random.uniform(0.9, 1))


def go_round(client: "redis.Redis", lasts_s: float, say: Say, *own: str) -> None:
    """Stand in line with so many tickets of one party, a new one when one was served; tell whom it went to."""
    party, lanes, permits, per_s = own
    limiter, ends_at = RateLimiter(client), time.monotonic() + lasts_s
    limit, numbers = SlidingWindow(int(permits), float(per_s)), iter(range(10**9))
    due = {f"{party}-{next(numbers)}": 0.0 for _ in range(int(lanes))}
    while (now := time.monotonic()) < ends_at:
        ticket = min(due, key=lambda one: due[one])
        if due[ticket] > now:
            time.sleep(min(due[ticket], ends_at) - now)
            continue
        delay_s = limiter.reserve("crowd", limit, turn=Turn(party, ticket))
        if delay_s == 0:
            say(time.monotonic(), party)
            del due[ticket]
            ticket = f"{party}-{next(numbers)}"
        due[ticket] = time.monotonic() + delay_s


def hold(client: "redis.Redis", lasts_s: float, say: Say, epochs: str) -> None:
    """Acquire, release, and tell the fence and when the hold was; *epochs* is a Redis that is never lost."""
    outside = redis.Redis.from_url(epochs)
    lock, ends_at = Lock(client, next_epoch=lambda: int(outside.incr("epoch"))), time.monotonic() + lasts_s
    while time.monotonic() < ends_at:
        with suppress(LockHeld, LockLost):
            lease = lock.acquire("crowd", 5)
            began = time.monotonic()
            time.sleep(random.uniform(0, 0.002))
            ended = time.monotonic()
            if lock.release(lease):
                say(lease.fence, began, ended)
        time.sleep(random.uniform(0, 0.001))


def try_it(client: "redis.Redis", lasts_s: float, say: Say, open_s: str) -> None:
    """Call a target that is always ill, and tell each call that was let through."""
    breaker = CircuitBreaker(client)
    ends_at = time.monotonic() + lasts_s
    target = Target("crowd", rules=Rules(open_s=float(open_s)))
    while time.monotonic() < ends_at:
        try:
            with breaker.guard(target):
                say(time.monotonic())
                socket.create_connection(("127.0.0.1", 1))  # nobody listens there
        except ConnectionError:
            continue
        except CircuitOpen as error:
            time.sleep(min(error.retry_after_s, max(0.0, ends_at - time.monotonic())))


def main() -> None:
    """Wait for the instant at which all begin, then do what was asked."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    what, port, lasts_s, *own = sys.argv[1:]
    with redis.Redis(port=int(port)) as client:
        client.ping()
        print(READY, flush=True)
        begins_at = float(sys.stdin.readline())
        while time.monotonic() < begins_at:
            time.sleep(0.001)
        said: list[tuple[object, ...]] = []
        {"take": take, "go_round": go_round, "hold": hold, "try_it": try_it}[what](
            client, float(lasts_s), lambda *facts: said.append(facts), *own
        )
    sys.stdout.write("".join(json.dumps(facts) + "\n" for facts in said))


if __name__ == "__main__":
    main()
