"""The lock: one holder of a name in the whole fleet, for a time, with a number that only grows."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import redis

from common.coordination.interrupt import Interrupter
from common.coordination.listing import entries, text
from common.coordination.names import escaped, plain
from common.coordination.scripts import Script
from common.errors import LockHeld, LockLost, Unavailable
from common.logs import get_logger
from common.metrics import LOCK_ATTEMPTS, LOCKS_LOST, SWALLOWED

TTL_S = 60.0
TTL_MIN_S = 0.1
TTL_MAX_S = 24 * 3600.0
HOLDER_MAX_CHARS = 200
PREFIX = "fairway:lock:{locks}:held:"
_FENCES = "fairway:lock:{locks}:fences"
_ASKED = "fairway:lock:{locks}:asked"
_EPOCH_TRIES = 10
_RECORD = re.compile(r"\S+ (\d{1,18}) (\d{1,18}) (\d{1,14}) (\d{1,14}) (.*)")
log = get_logger()


class Lease(NamedTuple):
    """A lock that is held until *expires_at*, by this process's clock; what it protects refuses smaller fences."""

    name: str
    token: str
    fence: int
    expires_at: datetime
    ttl_s: float


@dataclass(frozen=True)
class Held:
    """Who holds a lock, since when and until when, by Redis's clock."""

    name: str
    holder: str
    fence: int
    since: datetime
    until: datetime


class Lock:
    """Locks with a time to live, an owner and a fence.

        lock = Lock(redis.Redis())
        with lock.hold("source:42", ttl_s=60) as lease:
            table.update(where="fence <= ?", values=(lease.fence,))
        # LockHeld: somebody has it. LockLost: it was lost meanwhile; what was written under it was refused.

    *next_epoch* returns a number larger than any it returned before, in whatever process; it is asked only when
    Redis can't know the last fence. Without it the seconds of this machine's clock are taken: no better than that
    clock. Every method is one round trip, and raises `Unavailable` if Redis does not answer in the
    client's time; there is no safe way to go on without a lock, so every caller stops then.
    """

    def __init__(
        self, client: "redis.Redis", *, next_epoch: Callable[[], int] | None = None, holder: str = ""
    ) -> None:
        self._client = client
        self._script = Script(client, __file__)
        self._next_epoch = next_epoch or (lambda: int(time.time()))
        self._holder = holder
        self._acquired = LOCK_ATTEMPTS.labels("acquired")
        self._contended = LOCK_ATTEMPTS.labels("held")

    def acquire(
        self, name: str, ttl_s: float = TTL_S, *, holder: str | None = None, inherits: bool = False
    ) -> Lease:
        """Take the lock for *ttl_s* seconds. Raises `LockHeld`, with the rest of its present holder's time.

        *holder* is shown to operators. Who *inherits* takes the lock over from a holder of the same name: from
        itself, as it was before it died. Fences of a name rise from lease to lease, whatever happens to Redis.
        """
        _check(ttl_s)
        token = secrets.token_hex(16)
        began_at = datetime.now(UTC)
        asked = (token, round(ttl_s * 1000), _one_line(holder or self._holder), int(inherits))
        left_ms, *fence = self._acquire(name, asked)
        if not fence:
            self._contended.inc()
            raise LockHeld(f"Somebody else holds the lock {name}.", retry_after_s=left_ms / 1000)
        self._acquired.inc()
        return Lease(name, token, _fence(*fence), began_at + timedelta(seconds=ttl_s), ttl_s)

    def renew(self, lease: Lease, ttl_s: float | None = None) -> Lease:
        """Hold it for *ttl_s* more from now, or as long as at first. Raises `LockLost`."""
        ttl_s = lease.ttl_s if ttl_s is None else ttl_s
        _check(ttl_s)
        began_at = datetime.now(UTC)
        if not self._script(_keys(lease.name), "renew", lease.token, round(ttl_s * 1000)):
            raise LockLost(lease.name)
        return lease._replace(expires_at=began_at + timedelta(seconds=ttl_s))

    def release(self, lease: Lease) -> bool:
        """Give it up; tell whether it was still this lease's. A late release frees nobody else's."""
        return bool(self._script(_keys(lease.name), "release", lease.token))

    def status(self, name: str) -> Held | None:
        """Return who holds it, or `None`."""
        found = self._script(_keys(name), "status", "")
        return _held(name, found[0], found[1]) if found else None

    def reset(self, name: str) -> Held | None:
        """Free it, whoever holds it, and return who did: that holder finds out at its next renewal."""
        found = self._script(_keys(name), "reset", "")
        return _held(name, found, 0) if found else None

    @contextmanager
    def hold(
        self, name: str, ttl_s: float = TTL_S, *, holder: str | None = None, inherits: bool = False
    ) -> Iterator[Lease]:
        """Hold the lock for the block, renewed in the background every third of *ttl_s*; else as `acquire`.

        Raises `LockHeld`. When the lock is lost, `LockLost` is raised into the block at its next bytecode, and in
        any case at its end. While Redis does not answer, renewal is tried ten times as often, until the lease's
        time is over.
        """
        lease = self.acquire(name, ttl_s, holder=holder, inherits=inherits)
        renewal = _Renewal(self, lease)
        try:
            yield lease
        except LockLost:
            renewal.stop()
            if not renewal.is_lost:
                self._release_quietly(lease)
                raise
            raise LockLost(name) from None
        except BaseException:
            renewal.stop()
            self._release_quietly(lease)
            raise
        renewal.stop()
        if renewal.is_lost or not self._release_quietly(lease):
            raise LockLost(name)

    def all_held(self, after: str = "", limit: int = 100) -> list[Held]:
        """Return the first locks that are held, in the order of their escaped names, after the one *after*."""
        found = entries(
            self._client, PREFIX, f"{PREFIX}{after}", lambda key: self.status(plain(key.removeprefix(PREFIX)))
        )
        return list(islice(found, limit))

    def _acquire(self, name: str, asked: tuple[str, int, str, int]) -> list[Any]:
        answer: tuple[Any, ...] = ()
        for _ in range(_EPOCH_TRIES):
            found: list[Any] = self._script(_keys(name), "acquire", *asked, *answer)
            if found[0] >= 0:
                return found
            epoch = self._next_epoch()
            log.info("lock.epoch_begins", epoch=epoch)
            answer = (epoch, found[1])
        raise Unavailable("Redis forgets faster than its locks can be numbered.")

    def _release_quietly(self, lease: Lease) -> bool:
        """Release; while Redis is away, its time frees it. Only a lock that is known to be lost counts as lost."""
        try:
            return self.release(lease)
        except Unavailable:
            SWALLOWED.labels("lock.release").inc()
            return lease.expires_at > datetime.now(UTC)


class _Renewal:
    """The thread that keeps a lease alive while the block that holds it runs."""

    def __init__(self, lock: Lock, lease: Lease) -> None:
        self.is_lost = False
        self._lock = lock
        self._lease = lease
        self._over_at = time.monotonic() + lease.ttl_s
        self._stopped = threading.Event()
        self._interrupter = Interrupter(LockLost)
        threading.Thread(target=self._renew_until_stopped, name="lock-renewal", daemon=True).start()

    def stop(self) -> None:
        """Renew no more, and interrupt nobody."""
        self._interrupter.disarm()
        self._stopped.set()

    def _renew_until_stopped(self) -> None:
        wait_s = self._lease.ttl_s / 3
        while not self._stopped.wait(wait_s):
            began = time.monotonic()
            try:
                self._lock.renew(self._lease)
                self._over_at, wait_s = began + self._lease.ttl_s, self._lease.ttl_s / 3
            except LockLost:
                self._lose()
                return
            except Unavailable:
                wait_s = self._lease.ttl_s / 30
                if time.monotonic() >= self._over_at:
                    self._lose()
                    return

    def _lose(self) -> None:
        if not self._stopped.is_set():
            self.is_lost = True
            LOCKS_LOST.inc()
            log.warning("lock.lost", name=self._lease.name, fence=self._lease.fence)
            self._interrupter.fire()


def _check(ttl_s: float) -> None:
    if not TTL_MIN_S <= ttl_s <= TTL_MAX_S:
        raise ValueError(f"A lock is held for {TTL_MIN_S} to {TTL_MAX_S} seconds at a time.")


def _keys(name: str) -> tuple[str, str, str]:
    return f"{PREFIX}{escaped(name)}", _FENCES, _ASKED


def _held(name: str, record: Any, left_ms: int) -> Held | None:
    """Read the script's record; what is none of ours holds nothing."""
    found = _RECORD.fullmatch(text(record))
    if found is None:
        return None
    epoch, number, since_ms, ttl_ms, holder = found.groups()
    since = datetime.fromtimestamp(int(since_ms) / 1000, UTC)
    until = datetime.now(UTC) + timedelta(milliseconds=max(0, min(int(left_ms), int(ttl_ms))))
    return Held(name=name, holder=holder, fence=_fence(epoch, number), since=since, until=until)


def _fence(epoch: Any, number: Any) -> int:
    """Return the one number that both are: 64 bits, of which a JavaScript client would lose some."""
    return int(epoch) << 32 | int(number)


def _one_line(holder: str) -> str:
    return " ".join(holder.encode("utf-8", "replace").decode().split())[:HOLDER_MAX_CHARS]
