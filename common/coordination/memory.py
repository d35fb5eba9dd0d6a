"""How far back a Redis remembers: what is older may have been lost, or have been put back to what it was."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from common.logs import get_logger
from common.metrics import SWALLOWED

MARK = "fairway:memory"
MARK_LASTS_S = 7200
LOOK_EVERY_S = 1.0
CLOCK_MAY_SLIP_S = 2.0
_US = 1_000_000
_RUN = re.compile(r"run_id:(\w+)")
_MARKED = re.compile(r"(?P<run>\w*) (?P<since>\d+) (?P<seen>\d+)")
log = get_logger()


class RedisMemory:
    """Since when one Redis has remembered everything, as all its processes see it: a mark in it says so.

    A restart, a failover, a database that was emptied or put back, and a clock that was set back each begin a new
    memory. *is_first* is asked then: whether there never was one before, so that nothing can be forgotten.
    Looked at once in *look_every_s* at most, by whoever asks then: 2 round trips.
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        is_first: Callable[[], bool] = lambda: False,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._client = client
        self._is_first = is_first
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._since_us = 0
        self._seen_us = 0
        self._ahead_us: float | None = None

    def since_us(self) -> int:
        """Return the µs on Redis's clock since when it remembers; while Redis is away, the last answer."""
        if time.monotonic() >= self._look_at and self._lock.acquire(blocking=False):
            try:
                self._look_at = time.monotonic() + self._look_every_s
                self._look()
            except redis.RedisError:
                SWALLOWED.labels("coordination.memory").inc()
            finally:
                self._lock.release()
        return self._since_us

    def _look(self) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.info("server")
            pipe.get(MARK)
            clock, info, mark = pipe.execute(raise_on_error=False)
        if isinstance(clock, redis.RedisError):  # as of a server that still loads its data
            raise clock
        now_us = int(clock[0]) * _US + int(clock[1])
        run = _run(info)  # empty where INFO is refused: then only the mark tells
        since_us = self._read(mark, run, now_us)
        self._ahead_us = now_us - time.monotonic() * _US
        if since_us is None:
            since_us = 1 if self._is_first() else now_us
            log.info("redis.memory_begins", run=run[:8])
        self._client.set(MARK, f"{run} {since_us} {now_us}", ex=MARK_LASTS_S)
        self._since_us, self._seen_us = since_us, now_us

    def _read(self, mark: Any, run: str, now_us: int) -> int | None:
        """Return since when the memory lasts, or `None` if one begins now."""
        text = mark.decode(errors="replace") if isinstance(mark, bytes) else str(mark or "")
        found = _MARKED.fullmatch(text)
        if found is None or found["run"] != run or int(found["since"]) > now_us:
            return None
        if int(found["seen"]) < self._seen_us - CLOCK_MAY_SLIP_S * _US:  # put back to what it was before
            return None
        slipped_us = 0.0 if self._ahead_us is None else self._ahead_us - (now_us - time.monotonic() * _US)
        return None if slipped_us > CLOCK_MAY_SLIP_S * _US else int(found["since"])


def _run(info: Any) -> str:
    """Return the name of this run of the server."""
    if isinstance(info, dict):
        return str(info.get("run_id", ""))
    found = _RUN.search(info.decode(errors="replace") if isinstance(info, bytes) else str(info))
    return found[1] if found else ""
