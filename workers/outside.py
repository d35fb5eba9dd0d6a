"""Calls to the outside: permits that the fleet shares, and a breaker; whoever has to wait holds no worker.

Everything here raises a `HeldBack`, or a `Defer`, which the runner turns into a waiting job.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from common.coordination.circuit_breaker import CircuitBreaker, Target
from common.coordination.rate_limiter import Limit, RateLimiter, SlidingWindow, Turn
from common.errors import Defer, RateLimited, ToldToWait, Unavailable

HOST_LIMITS = (SlidingWindow(60, per_s=60),)
"""What an outside host is asked at most, over all workers; a source may ask less of it."""

WITHOUT_REDIS_WAITS_S = 2.0


class Outside:
    """One job's calls to one host: permits go round the organizations, so that no backfill eats them all."""

    def __init__(
        self,
        limiter: RateLimiter,
        breaker: CircuitBreaker,
        target: Target,
        limits: Sequence[Limit] = HOST_LIMITS,
        *,
        ticket: str,
    ) -> None:
        self._limiter = limiter
        self._breaker = breaker
        self._target = target
        self._limits = limits
        self._credential = f"{target.tenant}:{target.credential}"
        self._turn = Turn(party=target.tenant or target.credential, ticket=ticket)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make one call in the block: behind the breaker, with a permit.

        Raises `CircuitOpen`, `RateLimited`, or `Defer` while Redis can't be asked: a call that nobody counts could
        break the host's limit. In the block, errors that mean that the host is ill count against it.
        """
        with self._breaker.guard(self._target):
            self._take_permit()
            yield

    def told_to_wait(self, retry_after_s: float) -> ToldToWait:
        """Hold back everybody who uses this credential on this host, and return the error to raise.

        For an answer of 429, or 503 with Retry-After. At most an hour.
        """
        try:
            held_s = self._limiter.penalize(self._target.host, retry_after_s, credential=self._credential)
        except Unavailable as error:
            raise _without_redis() from error
        return ToldToWait(f"{self._target.host} asked us to wait {held_s:g} s.", retry_after_s=held_s)

    def _take_permit(self) -> None:
        try:
            wait_s = self._limiter.reserve(
                self._target.host, self._limits, credential=self._credential, turn=self._turn
            )
        except Unavailable as error:
            raise _without_redis() from error
        if wait_s > 0:
            raise RateLimited(f"{self._target.host} has no free permit.", retry_after_s=wait_s)


def _without_redis() -> Defer:
    return Defer(WITHOUT_REDIS_WAITS_S, "coordination_unavailable")
