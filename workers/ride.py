"""A ride: short jobs that share a turn of a slot; taken, claimed and finished together, and run one by one."""

import threading
import time
from collections import deque
from collections.abc import Sequence

from common.jobs.leases import Claimed

LONG_S = 0.05
"""A ride that takes longer gives back the jobs that were not begun: they would wait for the one that runs long."""


class Ride:
    """The jobs of one turn; used by the thread that runs them and by the one that gives the rest back."""

    def __init__(self, claimed: Sequence[Claimed]) -> None:
        self._left = deque(claimed)
        self._lock = threading.Lock()
        self.ends_at = time.monotonic() + LONG_S

    def next(self) -> Claimed | None:
        """Return the next job to run, or `None`: all are begun, or were given back."""
        with self._lock:
            return self._left.popleft() if self._left else None

    def give_up(self) -> list[Claimed]:
        """Return the jobs that were not begun; nobody will run them here."""
        with self._lock:
            left = list(self._left)
            self._left.clear()
            return left
