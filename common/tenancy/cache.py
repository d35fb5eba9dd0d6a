"""What processes share of what they read from MongoDB, in Redis: for five minutes, versioned, no secrets."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
import redis

from common.coordination.scripts import Script
from common.errors import Unavailable
from common.metrics import SWALLOWED

TTL_S = 300
QUIET_S = 1.0
_PREFIX = "fairway:known:"


class Versioned(NamedTuple):
    """A thing as plain JSON, with the version that rises with each of its changes."""

    version: int
    value: Any


class Cache:
    """The shared part of what is remembered; while Redis is away everybody does without."""

    def __init__(self, client: "redis.Redis") -> None:
        self._read = client.hmget
        self._script = Script(client, __file__)
        self._quiet_until = 0.0

    def get(self, key: str) -> Versioned | None:
        """Return what is known of *key*, or `None`, also while Redis is away."""
        if time.monotonic() < self._quiet_until:
            return None
        try:
            version, value = self._read(_PREFIX + key, ["version", "value"])
            return Versioned(int(version or 0), orjson.loads(value)) if value else None
        except redis.RedisError:
            self._be_quiet()
        except (ValueError, TypeError):
            SWALLOWED.labels("cache.unreadable").inc()
        return None

    def put(self, key: str, known: Versioned) -> None:
        """Share *known*, unless something newer is known; while Redis is away, do nothing."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            self._script([_PREFIX + key], "put", TTL_S, known.version, orjson.dumps(known.value))
        except Unavailable:
            self._be_quiet()

    def forget(self, versions: Mapping[str, int], channel: str) -> None:
        """Let go of what is older than *versions* say, by key, and wake who listens to *channel*.

        Raises `Unavailable`.
        """
        if not versions:
            return
        try:
            keys = [_PREFIX + key for key in versions]
            self._script(keys, "forget", TTL_S, channel, *versions.values())
        except Unavailable:
            self._be_quiet()
            raise

    def _be_quiet(self) -> None:
        SWALLOWED.labels("cache").inc()
        self._quiet_until = time.monotonic() + QUIET_S
