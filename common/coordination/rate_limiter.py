"""The rate limiter: permits of a key that all processes share, on Redis's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import redis

from common.coordination.memory import RedisMemory
from common.coordination.names import escaped, optional
from common.coordination.scripts import Script
from common.errors import CostAboveLimit, RateLimited
from common.metrics import RATE_LIMIT_TAKES, RATE_LIMIT_WAIT_SECONDS

PERMITS_MAX = 100_000_000
PERIOD_MIN_S = 0.001
PERIOD_MAX_S = 31 * 24 * 3600
PENALTY_MAX_S = 3600
_US = 1_000_000


@dataclass(frozen=True)
class SlidingWindow:
    """At most *permits* in any *per_s* seconds.

    A permit counts for *per_s* and up to *resolution_s* more (0: exactly); those of one resolution share 16 bytes.
    """

    permits: int
    per_s: float
    resolution_s: float = 0.0

    def __post_init__(self) -> None:
        _check(self.permits, self.per_s)
        if not 0 <= self.resolution_s <= self.per_s:
            raise ValueError("A resolution is within the window.")

    @property
    def most_at_once(self) -> int:
        """Return how many permits one call may take."""
        return self.permits

    def words(self) -> tuple[str, int, int, int]:
        """Return it as the script reads it: its kind, permits, µs, and its own."""
        return "window", self.permits, round(self.per_s * _US), max(1, round(self.resolution_s * _US))


@dataclass(frozen=True)
class TokenBucket:
    """*permits* in *per_s* seconds, evenly; what is not used is saved up to *burst* (left out: *permits*).

    In any t seconds at most burst + t · permits / per_s; a permit comes back after a whole number of µs.
    """

    permits: int
    per_s: float
    burst: int = 0

    def __post_init__(self) -> None:
        _check(self.permits, self.per_s)
        if self.permits > self.per_s * _US or not 0 <= self.burst <= PERMITS_MAX:
            raise ValueError(f"A bucket fills by at most one permit a µs, up to {PERMITS_MAX}.")

    @property
    def most_at_once(self) -> int:
        """Return how many permits one call may take."""
        return self.burst or self.permits

    def words(self) -> tuple[str, int, int, int]:
        """Return it as the script reads it."""
        return "bucket", self.permits, round(self.per_s * _US), self.most_at_once


Limit = SlidingWindow | TokenBucket


class Standing(NamedTuple):
    """How one limit stands: permits left, and the seconds until all of them are free."""

    remaining: int
    reset_after_s: float


class Verdict(NamedTuple):
    """What came of a `take`; *remaining* and *reset_after_s* are those of the limit with the least left."""

    allowed: bool
    remaining: int
    retry_after_s: float
    reset_after_s: float
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Turn:
    """Whose turn it is to be: permits go round the parties; *ticket* is the same each time its holder asks."""

    party: str
    ticket: str


@dataclass(frozen=True)
class Look:
    """A key at a glance: how many wait in line, for how long it is held back, and how each limit stands."""

    waiting: int
    held_s: float
    standings: tuple[Standing, ...]


class RateLimiter:
    """Limits that hold over any number of processes and machines; state and clock are Redis's.

        limiter = RateLimiter(redis.Redis())
        verdict = limiter.take("api.example", [SlidingWindow(60, per_s=60), SlidingWindow(1000, per_s=3600)])
        if not verdict.allowed:
            raise Defer(verdict.retry_after_s)

    *purpose* keeps the keys of several uses apart and names them in the metrics. With *memory*, a Redis that lost
    what it knew gives half of each limit until it has remembered a whole window. Every method is one round trip,
    and raises `Unavailable` if Redis does not answer in the client's time: the caller decides to go or to stop.
    """

    def __init__(
        self, client: "redis.Redis", purpose: str = "calls", *, memory: RedisMemory | None = None
    ) -> None:
        self._script = Script(client, __file__)
        self._prefix = f"fairway:rate:{escaped(purpose)}"
        self._memory = memory
        self._keys = lru_cache(maxsize=10_000)(self._make_keys)
        self._words = lru_cache(maxsize=1_000)(_words)
        self._allowed = RATE_LIMIT_TAKES.labels(purpose, "allowed")
        self._refused = RATE_LIMIT_TAKES.labels(purpose, "refused")
        self._waits = RATE_LIMIT_WAIT_SECONDS.labels(purpose)

    def take(
        self, key: str, limits: Limit | Sequence[Limit], cost: int = 1, *, credential: str | None = None
    ) -> Verdict:
        """Take *cost* permits from every limit of *key*, or from none.

        A refused call costs nothing. What `penalize` holds back is refused, for *credential* or for all.
        Raises `CostAboveLimit` if it could never pass.
        """
        answer = self._call("take", key, limits, cost, credential)
        verdict = _verdict(answer)
        if verdict.allowed:
            self._allowed.inc()
        else:
            self._refused.inc()
        return verdict

    def reserve(
        self,
        key: str,
        limits: Limit | Sequence[Limit],
        cost: int = 1,
        *,
        credential: str | None = None,
        turn: Turn | None = None,
    ) -> float:
        """Return in how many seconds the caller may go; nobody who waits needs to poll.

        Without *turn* the next free moment is booked: it is the caller's, in the order of asking. Raises
        `RateLimited` where that is more than the longest window away.

        With *turn* one permit is taken if the answer is 0. If not, the ticket's place in line is kept: come again
        then, with the same ticket, within 5 seconds. Places go round the parties, so the answer may grow while
        others come; a party that asks for no more than its equal share gets it. *cost* must be 1.
        Raises `CostAboveLimit` if it could never pass.
        """
        if turn is None:
            delay_s = int(self._call("book", key, limits, cost, credential)) / _US
            if delay_s < 0:
                raise RateLimited("Everything is booked for a whole window.", retry_after_s=-delay_s)
        else:
            if cost != 1:
                raise ValueError("Who waits in line takes one permit at a time.")
            delay_s = int(self._call("turn", key, limits, 1, credential, *_own(turn))) / _US
        self._waits.observe(delay_s)
        return delay_s

    def withdraw(self, key: str, limits: Limit | Sequence[Limit], turn: Turn) -> bool:
        """Give up a place in line; tell whether there was one."""
        return bool(self._call("withdraw", key, limits, 1, None, *_own(turn)))

    def penalize(self, key: str, seconds: float, *, credential: str | None = None) -> float:
        """Hold back everybody who uses *key*, or only those with *credential*; return for how many seconds.

        An outside 429 with Retry-After does so. At most an hour; a shorter penalty never ends a longer one.
        """
        lasts_us = round(min(max(0.0, seconds), PENALTY_MAX_S) * _US)
        return float(self._script(self._keys(key, (), credential), "hold", 1, 0, 0, lasts_us) / _US)

    def look(self, key: str, limits: Limit | Sequence[Limit], *, credential: str | None = None) -> Look:
        """Return how *key* stands; takes nothing."""
        waiting, held_us, *rest = self._call("look", key, limits, 1, credential)
        return Look(waiting, held_us / _US, _standings(rest))

    def _call(
        self,
        verb: str,
        key: str,
        limits: Limit | Sequence[Limit],
        cost: int,
        credential: str | None,
        *own: str,
    ) -> Any:
        all_of = (limits,) if isinstance(limits, SlidingWindow | TokenBucket) else tuple(limits)
        words, most = self._words(all_of)
        if not 1 <= cost <= most:
            raise CostAboveLimit(f"One call takes 1 to {most} permits here, not {cost}.")
        since = self._memory.since_us() if self._memory else 0
        return self._script(self._keys(key, all_of, credential), verb, cost, since, len(all_of), *words, *own)

    def _make_keys(self, key: str, limits: tuple[Limit, ...], credential: str | None) -> tuple[str, ...]:
        own = f"{self._prefix}:{{{escaped(key)}}}"
        held = f"{own}:held"
        held_by = () if credential is None else (f"{held}:{escaped(credential)}",)
        states = [f"{own}:{limit.words()[0]}:{limit.per_s:.15g}" for limit in limits]
        return (*states, held, f"{own}:turns", f"{own}:deadlines", f"{own}:parties", *held_by)


def _own(turn: Turn) -> tuple[str, str]:
    """Return ticket and party as the script reads them; a party may be nameless."""
    return escaped(turn.ticket), optional(turn.party)


def _words(limits: tuple[Limit, ...]) -> tuple[tuple[str | int, ...], int]:
    """Return *limits* as the script reads them, and how many permits one call may take of them all."""
    if not limits or len({(type(limit), limit.per_s) for limit in limits}) != len(limits):
        raise ValueError("Give at least one limit, and each kind and period once.")
    words = tuple(word for limit in limits for word in limit.words())
    return words, min(limit.most_at_once for limit in limits)


def _verdict(answer: Sequence[int]) -> Verdict:
    standings = _standings(answer[2:])
    tightest = standings[0] if len(standings) == 1 else min(standings)
    return Verdict(answer[0] == 1, tightest[0], answer[1] / _US, tightest[1], standings)


def _standings(flat: Sequence[int]) -> tuple[Standing, ...]:
    return tuple([Standing(flat[i], flat[i + 1] / _US) for i in range(0, len(flat), 2)])


def _check(permits: int, per_s: float) -> None:
    if not (1 <= permits <= PERMITS_MAX and PERIOD_MIN_S <= per_s <= PERIOD_MAX_S):
        raise ValueError(f"A limit is 1 to {PERMITS_MAX} permits in {PERIOD_MIN_S} to {PERIOD_MAX_S} seconds.")
