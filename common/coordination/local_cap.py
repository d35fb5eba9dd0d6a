"""The cap of one process alone: what it allows while it can't ask the limiter that all share."""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from common.coordination.rate_limiter import Limit, Standing, Verdict

SHARE = 0.25
KEYS_MOST = 10_000
_ROUNDING_S = 1e-6


class LocalCap:
    """A quarter of each limit in this process, at an even pace: not none, and not all of it in each process.

    Holds the last 10,000 keys. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._full_at: OrderedDict[tuple[str, float], float] = OrderedDict()

    def take(self, key: str, limits: Sequence[Limit], cost: int = 1) -> Verdict:
        """Take *cost* permits from every limit of *key*, or from none, as `RateLimiter.take` does."""
        now = time.monotonic()
        with self._lock:
            buckets = [_Bucket(limit, self._full_at.get((key, limit.per_s), 0.0), now) for limit in limits]
            wait_s = max(bucket.wait_s(cost) for bucket in buckets)
            if wait_s <= _ROUNDING_S:
                for limit, bucket in zip(limits, buckets, strict=True):
                    self._remember((key, limit.per_s), bucket.take(cost))
        standings = tuple(bucket.standing() for bucket in buckets)
        tightest = min(standings)
        return Verdict(
            wait_s <= _ROUNDING_S, tightest.remaining, max(0.0, wait_s), tightest.reset_after_s, standings
        )

    def _remember(self, place: tuple[str, float], full_at: float) -> None:
        self._full_at[place] = full_at
        self._full_at.move_to_end(place)
        if len(self._full_at) > KEYS_MOST:
            self._full_at.popitem(last=False)


class _Bucket:
    """A token bucket as the instant at which it is full again."""

    def __init__(self, limit: Limit, full_at: float, now: float) -> None:
        self._permits = max(1, int(limit.permits * SHARE))
        self._each_s = limit.per_s / self._permits
        self._full_at = max(full_at, now)
        self._now = now

    def wait_s(self, cost: int) -> float:
        """Return how long until *cost* permits are there; more than the bucket holds wait until it is full."""
        return self._full_at + (min(cost, self._permits) - self._permits) * self._each_s - self._now

    def take(self, cost: int) -> float:
        """Take them, and return when it is full again."""
        self._full_at += cost * self._each_s
        return self._full_at

    def standing(self) -> Standing:
        """Return what is left."""
        owed_s = self._full_at - self._now
        return Standing(max(0, int(self._permits - owed_s / self._each_s + _ROUNDING_S)), owed_s)
