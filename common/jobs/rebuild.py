"""The rebuild: all that Redis held is made again from MongoDB, in slices, while jobs are accepted and run.

What is run comes first, so that caps count it; then what is queued, then what waits for a time. However many there
are, a page of them is in memory.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from pymongo.collection import Collection

from common.errors import Unavailable
from common.jobs.lanes import EPOCH, Lanes
from common.jobs.store import JobStore
from common.logs import get_logger
from common.metrics import REBUILDING

SEQUENCE = "fairway:sequence"
_UNDER_WAY = "fairway:rebuilding"
PAGE = 500
log = get_logger()

Admit = Callable[[Sequence[dict[str, Any]], str], int]


class Rebuild:
    """One rebuild; makes a new epoch, clears the lanes, and fills them slice by slice.

    Raises `Unavailable` if Redis does not answer; it goes on then where it was, if Redis remembers it.
    """

    def __init__(
        self,
        state: Collection[Any],
        store: JobStore,
        lanes: Lanes,
        broker: "redis.Redis",
        *,
        admit: Admit,
        held_s: float,
    ) -> None:
        self._state = state
        self._store = store
        self._lanes = lanes
        self._broker = broker
        self._admit = admit
        self._epoch = secrets.token_hex(8)
        self._walks = ["queued", "waiting"]
        self._after = ""
        self._count = 0
        self.is_done = False
        self._state.update_one({"_id": "lanes"}, {"$set": self._fresh()}, upsert=True)
        self._redis(lambda: self._broker.delete(EPOCH))
        self._lanes.clear()
        self._redis(lambda: self._broker.set(_UNDER_WAY, self._epoch))
        for entry in self._store.running():
            self._lanes.hold(entry.queue, [entry.member], held_s)

    def is_remembered(self) -> bool:
        """Tell whether Redis still holds what was filled so far."""
        return bool(self._redis(lambda: self._broker.get(_UNDER_WAY)) == self._epoch.encode())

    def go_on(self, seconds: float, still_leading: Callable[[], bool]) -> int:
        """Admit jobs for about so many seconds, a page at least; return how many."""
        ends_at, before = time.monotonic() + seconds, self._count
        while self._walks:
            if not still_leading():
                raise Unavailable("Another sweeper leads now, and rebuilds the lanes.")
            self._admit_page()
            if time.monotonic() >= ends_at:
                break
        self._show()
        if not self._walks:
            self._redis(lambda: self._broker.mset({EPOCH: self._epoch, SEQUENCE: 0}))
            self._redis(lambda: self._broker.delete(_UNDER_WAY))
            self.is_done = True
        return self._count - before

    def _admit_page(self) -> None:
        page = self._store.unfinished(self._walks[0], self._after, PAGE)
        self._count += self._admit(page, self._walks[0])
        self._after = page[-1]["_id"] if page else ""
        if len(page) < PAGE:
            self._walks.pop(0)
            self._after = ""

    def _show(self) -> None:
        """Say how far it is: in the log, in the metrics, and in MongoDB for the operators."""
        is_over = not self._walks
        REBUILDING.set(0 if is_over else self._count)
        log.info("lanes.rebuilt" if is_over else "lanes.rebuilding", admitted=self._count, now_at=self._after)
        progress = None if is_over else {"admitted": self._count, "stage": self._walks[0]}
        self._state.update_one({"_id": "lanes", "epoch": self._epoch}, {"$set": {"rebuilding": progress}})

    def _fresh(self) -> Mapping[str, Any]:
        return {
            "epoch": self._epoch,
            "sequence": 0,
            "clock_ms": 0,
            "rebuilding": {"admitted": 0, "stage": "running"},
        }

    def _redis(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error
