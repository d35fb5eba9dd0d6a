"""Changes of organizations and people, told to every process, so that none goes by what was true before.

Whoever changes a thing notes its key and its new version in the same transaction. Every process reads the notes of
the last minute once a second, and at once when Redis passes the word on; so what is remembered is let go within
about a second with MongoDB alone. A process that has not heard from MongoDB for three seconds remembers nothing
for longer than two.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import redis
from pymongo import ASCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from common.errors import Unavailable
from common.ids import new_id
from common.logs import get_logger
from common.metrics import SWALLOWED
from common.tenancy.cache import Cache
from common.tenancy.control import ControlPlane

T = TypeVar("T")
Runs = Callable[[Callable[[ClientSession], T]], T]
GONE = 2**53 - 1
"""The version of what is no longer there."""
POLL_S = 1.0
FRESH_S = 3.0
WINDOW_S = 60
"""How far back a process looks each time: longer than a transaction lives, and a note is seen when it ends."""
CACHED_S = 300
KEPT_S = 900
CHANNEL = "fairway:changes"
CHANGES_INDEXES = (IndexModel([("at", ASCENDING)], expireAfterSeconds=KEPT_S, name="expiry"),)
log = get_logger()


class Change:
    """One transaction that changes organizations or people; *session* is the one to write with."""

    def __init__(self, control: ControlPlane, session: ClientSession) -> None:
        self.session = session
        self.versions: dict[str, int] = {}
        self._changes = control.changes

    def note(self, key: str, version: int = GONE) -> None:
        """Note that the thing of *key* has *version* now; without one, that it is gone."""
        self.versions[key] = version
        noted = {"key": {"$literal": key}, "version": version, "at": "$$NOW"}  # at: on MongoDB's clock
        self._changes.update_one({"_id": new_id()}, [{"$set": noted}], upsert=True, session=self.session)


class Changes:
    """Makes changes for one process, and hears of everybody's once it listens."""

    def __init__(
        self, control: ControlPlane, cache: Cache | None = None, subscriber: "redis.Redis | None" = None
    ) -> None:
        """Make them; without *cache* and *subscriber* it is as if Redis were away."""
        self._control = control
        self._cache = cache
        self._subscriber = subscriber
        self._least: dict[str, tuple[int, float]] = {}
        self._heard_at = float("-inf")
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._droppers: list[Callable[[str], None]] = []

    def transact(self, work: Callable[[Change], T], *, runs: Runs[T] | None = None) -> T:
        """Run *work* in one transaction of the control plane, then tell everybody what it noted.

        *runs* runs the transaction, if more than that is to be done in it.
        """
        last: list[Change] = []

        def tried(session: ClientSession) -> T:
            last[:] = [Change(self._control, session)]
            return work(last[0])

        result = (runs or self._control.transaction)(tried)
        self.tell(last[0])
        return result

    def within(self, session: ClientSession) -> Change:
        """Return a change in somebody else's transaction; `tell` it once that is committed."""
        return Change(self._control, session)

    def tell(self, change: Change) -> None:
        """Tell everybody of a change that is committed; whom this does not reach, hears within a second."""
        for key, version in change.versions.items():
            self._heard(key, version)
        if self._cache is not None:
            with suppress(Unavailable):  # each failure is counted there; the notes in MongoDB are what counts
                self._cache.forget(change.versions, CHANNEL)

    def when_changed(self, drop: Callable[[str], None]) -> None:
        """Call *drop* with the key of each change from now on."""
        self._droppers.append(drop)

    def least(self, key: str) -> int:
        """Return the version that the thing of *key* is known to have at least."""
        known = self._least.get(key)
        return known[0] if known else 0

    @property
    def is_fresh(self) -> bool:
        """Tell whether all that was committed until three seconds ago is known here."""
        return time.monotonic() - self._heard_at < FRESH_S

    def listen(self) -> None:
        """Hear of changes from now on, in a thread of its own; call it after a fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, name="changes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(2 * POLL_S)

    def look(self) -> None:
        """Read what was noted lately. Raises `PyMongoError`."""
        began_at = time.monotonic()
        window_s = WINDOW_S if began_at - self._heard_at < WINDOW_S / 2 else CACHED_S + WINDOW_S
        since = {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": window_s}}
        for one in self._control.changes.find({"$expr": {"$gte": ["$at", since]}}, max_time_ms=2_000):
            self._heard(one["key"], one["version"])
        self._heard_at = began_at
        if len(self._least) > _LEAST_MOST:
            over_at = began_at - KEPT_S
            self._least = {key: one for key, one in self._least.items() if one[1] > over_at}

    def _heard(self, key: str, version: int) -> None:
        known = self._least.get(key)
        if known is not None and known[0] >= version:
            return
        self._least[key] = (version, time.monotonic())
        for drop in self._droppers:
            drop(key)

    def _listen(self) -> None:
        channel: Any = None
        while not self._stopped.is_set():
            try:
                self.look()
            except PyMongoError as error:
                SWALLOWED.labels("changes").inc()
                log.warning("changes.unheard", error=type(error).__name__)
            channel = self._await_word(channel)
        if channel is not None:
            channel.close()

    def _await_word(self, channel: Any) -> Any:
        """Wait until somebody says that there is something new, or for a second; return the subscription."""
        if self._subscriber is None:
            self._stopped.wait(POLL_S)
            return None
        try:
            if channel is None:
                channel = self._subscriber.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                channel.subscribe(CHANNEL)
            ends_at = time.monotonic() + POLL_S
            while (left_s := ends_at - time.monotonic()) > 0 and not self._stopped.is_set():
                if channel.get_message(timeout=left_s) is not None:
                    break
        except (redis.RedisError, OSError, ValueError):
            SWALLOWED.labels("changes.word").inc()
            self._stopped.wait(POLL_S)
            return None
        return channel


_LEAST_MOST = 50_000
