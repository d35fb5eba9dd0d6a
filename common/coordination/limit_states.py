"""How every limit stands now, for operators: what is used of it, who waits, and what is held back."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice

import redis

from common.coordination.listing import entries, text
from common.coordination.names import plain
from common.coordination.rate_limiter import Limit, RateLimiter, SlidingWindow, TokenBucket
from common.errors import Unavailable

PREFIX = "fairway:rate:"
_STATE = re.compile(r"fairway:rate:([^:{]+):{([^}]+)}:(?:(window|bucket):([0-9.e+-]+)|held(?::(.+))?)\Z")
_HELD = re.compile(r"(\d{1,17}) (\d{1,17})")


@dataclass(frozen=True)
class LimitState:
    """One limit of one key, or one penalty (then *permits* is `None`), by Redis's clock."""

    key: str
    purpose: str
    name: str
    permits: int | None
    per_s: float | None
    remaining: int | None
    waiting: int
    credential: str | None
    held_since: datetime | None
    held_until: datetime | None

    @property
    def is_saturated(self) -> bool:
        """Tell whether somebody has to wait for it."""
        return self.remaining == 0 or self.held_until is not None


class LimitStates:
    """Reads the states that `RateLimiter`s of any purpose leave in Redis."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._limiter_of = cache(lambda purpose: RateLimiter(client, purpose))

    def all_of(self, after: str = "", limit: int = 100, *, only_saturated: bool = False) -> list[LimitState]:
        """Return the first *limit* states, in the order of their keys, after the key *after*."""
        states = entries(self._client, PREFIX, after, self.state_of)
        return list(islice((one for one in states if one.is_saturated or not only_saturated), limit))

    def reset(self, key: str) -> None:
        """Forget what was used of that limit, or lift that penalty."""
        if _STATE.match(key):
            self._client.delete(key)

    def state_of(self, key: str) -> LimitState | None:
        """Return how that limit stands, or that penalty; `None` if there is none, or it is of no use any more."""
        parts = _STATE.match(key)
        if parts is None:
            return None
        purpose, name = plain(parts[1]), plain(parts[2])
        try:
            if parts[3] is None:
                return self._penalty(key, purpose, name, parts[5])
            return self._limit(key, purpose, name, parts[3], float(parts[4]))
        except redis.ResponseError:
            return None  # of a type that is none of ours
        except redis.RedisError as error:
            raise Unavailable("The Redis that limits are kept in does not answer.") from error

    def _penalty(self, key: str, purpose: str, name: str, credential: str | None) -> LimitState | None:
        found = _HELD.fullmatch(text(self._client.get(key) or ""))
        if found is None:
            return None
        until, since = (datetime.fromtimestamp(int(us) / 1_000_000, UTC) for us in found.groups())
        return LimitState(
            key=key,
            purpose=purpose,
            name=name,
            permits=None,
            per_s=None,
            remaining=None,
            waiting=0,
            credential=plain(credential) if credential else None,
            held_since=since,
            held_until=until,
        )

    def _limit(self, key: str, purpose: str, name: str, kind: str, per_s: float) -> LimitState | None:
        limit = self._as_limit(key, kind, per_s)
        if limit is None:
            return None
        look = self._limiter_of(purpose).look(name, limit)
        return LimitState(
            key=key,
            purpose=purpose,
            name=name,
            permits=limit.permits,
            per_s=per_s,
            remaining=look.standings[0].remaining,
            waiting=look.waiting,
            credential=None,
            held_since=None,
            held_until=None,
        )

    def _as_limit(self, key: str, kind: str, per_s: float) -> Limit | None:
        """Return the limit that left this state, or `None` if it is gone or none of ours."""
        if kind == "window":
            permits = self._client.lindex(key, 0)
            return SlidingWindow(int(text(permits)), per_s) if permits and text(permits).isdecimal() else None
        words = text(self._client.get(key) or "").split(" ")
        is_whole = len(words) == 3 and all(map(str.isdecimal, words))  # noqa: PLR2004 (as the script writes it)
        return TokenBucket(int(words[2]), per_s, burst=int(words[1])) if is_whole else None
