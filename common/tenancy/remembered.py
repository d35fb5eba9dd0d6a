"""What a process remembers of organizations, people, sessions and keys, so that a request need not ask MongoDB.

here (5 min, let go within a second of a change)  →  Redis (5 min)  →  MongoDB

Without word of changes (`Changes.is_fresh`) only the first counts, for two seconds, and Redis is not asked.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from common.tenancy.cache import TTL_S, Cache, Versioned
from common.tenancy.changes import Changes

T = TypeVar("T")
ALONE_S = 2.0
MOST = 20_000


class _Entry(NamedTuple):
    thing: Any
    version: int
    read_at: float


class Remembered:
    """The memory of one process; safe to use from several threads."""

    def __init__(self, changes: Changes, cache: Cache | None = None) -> None:
        self.changes = changes
        self._cache = cache
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        changes.when_changed(self._drop)

    def get(
        self,
        key: str,
        load: Callable[[], Versioned | None],
        read: Callable[[Mapping[str, Any]], T],
        *,
        fresh: bool = False,
    ) -> T | None:
        """Return the thing of *key*, or `None` if there is none, which is not remembered.

        *load* reads it from MongoDB as plain JSON, *read* makes the thing of that; *fresh* asks MongoDB in any
        case. Raises what *load* raises.
        """
        now, is_fresh = time.monotonic(), self.changes.is_fresh
        known = self._entries.get(key)
        if known is not None and not fresh and now - known.read_at < (TTL_S if is_fresh else ALONE_S):
            return known.thing  # type: ignore[no-any-return]
        shared = self._cache if is_fresh else None
        found = shared.get(key) if shared is not None and not fresh else None
        if found is None or found.version < self.changes.least(key):
            found = load()
            if found is None:
                return None
            if shared is not None:
                shared.put(key, found)
        thing = read(found.value)
        self._keep(key, _Entry(thing, found.version, now))
        return thing

    def _keep(self, key: str, entry: _Entry) -> None:
        with self._lock:
            if entry.version < self.changes.least(key):
                return  # it was changed while it was read
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > MOST:
                self._entries.popitem(last=False)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._entries.pop(key, None)
