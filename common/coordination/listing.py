"""Lists of what stands in Redis now, in the order of the keys, in memory bounded whatever there is."""

import heapq
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import redis

from common.errors import Unavailable

T = TypeVar("T")
_SCAN_COUNT = 1_000
_AT_ONCE = 5_000


def entries(client: "redis.Redis", prefix: str, after: str, read: Callable[[str], T | None]) -> Iterator[T]:
    """Go through what *read* makes of the keys under *prefix* that come after the key *after*, in order.

    What it makes nothing of (gone meanwhile, or none of ours) is passed over. Each 5,000 keys it looks through
    every key of the server: for people, not for programs. Raises `Unavailable`.
    """
    try:
        while keys := _keys_after(client, prefix, after):
            yield from (entry for key in keys if (entry := read(key)) is not None)
            after = keys[-1]
    except redis.RedisError as error:
        raise Unavailable("The Redis that workers coordinate through does not answer.") from error


def text(raw: Any) -> str:
    """Return what Redis answered as text, whichever way its client is set up."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _keys_after(client: "redis.Redis", prefix: str, after: str) -> list[str]:
    found = map(text, client.scan_iter(match=f"{prefix}*", count=_SCAN_COUNT))
    return heapq.nsmallest(_AT_ONCE, {key for key in found if key > after})
