"""What each process tells of itself every few seconds: its processor, memory and threads, and its connections."""

import threading
from collections.abc import Mapping
from typing import Any

import psutil
import redis
from pymongo import monitoring

from common.metrics import MONGO_CONNECTIONS, PROCESS_BYTES, PROCESS_CPU, PROCESS_THREADS, REDIS_CONNECTIONS

EVERY_S = 5.0


class PoolCounts(monitoring.ConnectionPoolListener):
    """Counts the connections of one client of MongoDB: open ones, those in use, and who waits for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = 0
        self.in_use = 0
        self.waiting = 0

    def _add(self, *, made: int = 0, used: int = 0, waits: int = 0) -> None:
        with self._lock:
            self.open += made
            self.in_use += used
            self.waiting += waits

    def connection_created(self, event: Any) -> None:
        """Count one more."""
        del event
        self._add(made=1)

    def connection_closed(self, event: Any) -> None:
        """Count one less."""
        del event
        self._add(made=-1)

    def connection_check_out_started(self, event: Any) -> None:
        """Count one who waits."""
        del event
        self._add(waits=1)

    def connection_check_out_failed(self, event: Any) -> None:
        """Count one who waits less."""
        del event
        self._add(waits=-1)

    def connection_checked_out(self, event: Any) -> None:
        """Count one in use."""
        del event
        self._add(used=1, waits=-1)

    def connection_checked_in(self, event: Any) -> None:
        """Count one in use less."""
        del event
        self._add(used=-1)

    def pool_created(self, event: Any) -> None:
        """Say nothing."""

    def pool_ready(self, event: Any) -> None:
        """Say nothing."""

    def pool_cleared(self, event: Any) -> None:
        """Say nothing."""

    def pool_closed(self, event: Any) -> None:
        """Say nothing."""

    def connection_ready(self, event: Any) -> None:
        """Say nothing."""


class Figures:
    """Tells the figures of this process in a thread of its own."""

    def __init__(self, process: str, mongo: PoolCounts, clients: "Mapping[str, redis.Redis]") -> None:
        self._process = process
        self._mongo = mongo
        self._clients = clients
        self._this = psutil.Process()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._tell_on, name="figures", daemon=True)

    def start(self) -> None:
        """Begin to tell; call it after the fork."""
        self._thread.start()

    def stop(self) -> None:
        """Tell no more."""
        self._closing.set()

    def tell(self) -> None:
        """Tell how things are at this moment."""
        with self._this.oneshot():
            times = self._this.cpu_times()
            PROCESS_CPU.labels(self._process).set(times.user + times.system)
            PROCESS_BYTES.labels(self._process).set(self._this.memory_info().rss)
            PROCESS_THREADS.labels(self._process).set(self._this.num_threads())
        for state in ("open", "in_use", "waiting"):
            MONGO_CONNECTIONS.labels(state).set(getattr(self._mongo, state))
        for name, client in self._clients.items():
            counts = [count for count, _ in client.connection_pool.get_connection_count()]
            REDIS_CONNECTIONS.labels(name, "idle").set(counts[0])
            REDIS_CONNECTIONS.labels(name, "in_use").set(counts[1])

    def _tell_on(self) -> None:
        while True:
            self.tell()
            if self._closing.wait(EVERY_S):
                return
