"""Lists of what stands in Redis now: keys in order, page by page, in memory bounded by the page."""

import heapq
from typing import Any

import redis

from common.errors import Unavailable

_SCAN_COUNT = 1_000


def keys_after(client: "redis.Redis", prefix: str, after: str, limit: int) -> list[str]:
    """Return the first *limit* keys under *prefix*, in order, that come after the key *after* (all do after "").

    Looks through every key of the server: for people, not for programs. Raises `Unavailable`.
    """
    try:
        found = (text(key) for key in client.scan_iter(match=f"{prefix}*", count=_SCAN_COUNT))
        return heapq.nsmallest(limit, {key for key in found if key > after})
    except redis.RedisError as error:
        raise Unavailable("The Redis that workers coordinate through does not answer.") from error


def text(raw: Any) -> str:
    """Return what Redis answered as text, whichever way its client is set up."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
