"""The meter of a process: it adds up in memory, and hands its sums on to Redis every second.

Counting never waits for a server and never fails. A process that dies loses what it counted since its last flush,
which is a second ago at most while Redis answers; while it does not, the sums stay here and go on afterwards. A
flush whose answer was lost is sent again as it was, and Redis adds it once.
"""

import threading
from collections import deque
from zlib import crc32

import redis

from common.clock import Clock
from common.coordination.scripts import Script
from common.errors import Unavailable
from common.ids import OrgId, new_id
from common.logs import get_logger
from common.metering.figures import Figure, Metered, hour_of
from common.metrics import SWALLOWED

EVERY_S = 1.0
MANY = 1_000
"""So many counts are handed on at once, before the second is over."""
SUMS_AT_ONCE = 1_000
BUCKETS = 16
"""The organizations are spread over so many hashes, each of which is moved in a transaction of its own."""
log = get_logger()


class Meter:
    """Counts for one process; `start` its thread after the fork, or `flush` it yourself. Safe in any thread."""

    def __init__(self, client: "redis.Redis", clock: Clock) -> None:
        self._script = Script(client, __file__)
        self._clock = clock
        self._last = f"fairway:usage:last:{new_id()}"
        self._lock = threading.Lock()
        self._sums: dict[Metered, int] = {}
        self._counts = 0
        self._flushing = threading.Lock()
        self._number = 0
        self._unsent: deque[tuple[int, tuple[tuple[Metered, int], ...]]] = deque()
        self._is_due = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def add(self, org_id: OrgId, figure: Figure, amount: int = 1) -> None:
        """Count *amount* for the organization, in the hour that it is."""
        metered = Metered(org_id, hour_of(self._clock.now()), figure)
        with self._lock:
            self._sums[metered] = self._sums.get(metered, 0) + amount
            self._counts += 1
            is_due = self._counts == MANY
        if is_due:
            self._is_due.set()

    def start(self) -> None:
        """Begin to hand on every second; call it after the fork."""
        self._thread = threading.Thread(target=self._flush_on, name="meter", daemon=True)
        self._thread.start()

    def flush(self) -> bool:
        """Hand on all that was counted; `False` if Redis does not take it now, and then it is kept."""
        with self._flushing:
            try:
                while self._unsent or self._seal():
                    self._send(*self._unsent[0])
                    self._unsent.popleft()
            except Unavailable:
                SWALLOWED.labels("meter").inc()
                return False
            return True

    def close(self) -> None:
        """Stop the thread, and hand on what is left."""
        self._is_closing = True
        self._is_due.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _seal(self) -> bool:
        """Turn the sums into flushes, whose numbers and contents stay as they are; tell whether there are any."""
        with self._lock:
            sums, self._sums, self._counts = self._sums, {}, 0
        counted = tuple(sums.items())
        for start in range(0, len(counted), SUMS_AT_ONCE):
            self._number += 1
            self._unsent.append((self._number, counted[start : start + SUMS_AT_ONCE]))
        return bool(self._unsent)

    def _send(self, number: int, sums: tuple[tuple[Metered, int], ...]) -> None:
        keys = [self._last, *dict.fromkeys(counting(bucket_of(metered.org_id)) for metered, _ in sums)]
        index = {key: at for at, key in enumerate(keys, start=1)}
        flat = [
            part
            for metered, amount in sums
            for part in (index[counting(bucket_of(metered.org_id))], metered.field(), amount)
        ]
        self._script(keys, number, new_id(), *flat)

    def _flush_on(self) -> None:
        while not self._is_closing:
            self._is_due.wait(EVERY_S)
            self._is_due.clear()
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 (whatever it is, the next second is counted as well)
                SWALLOWED.labels("meter").inc()
                log.error("meter.failed", error=repr(error)[:200])


def bucket_of(org_id: OrgId) -> int:
    """Return the number of the organization's bucket, the same in every process."""
    return crc32(org_id.encode()) % BUCKETS


def counting(bucket: int) -> str:
    """Return the key of the sums that processes add to."""
    return f"fairway:usage:counting:{bucket}"
