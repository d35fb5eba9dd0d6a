"""The bound on sign-up and sign-in from one address: so many a minute, counted in this process.

Several processes each count their own until the limiter that all share is there, so the bound of a fleet is this
one times its processes; it stops guessing by machine, which is what it is for.
"""

import threading
from collections import defaultdict

from common.errors import TooMany
from web.contract.addresses import client_address, subscriber
from web.contract.services import services

WINDOW_S = 60
ADDRESSES_MAX = 100_000


class Attempts:
    """Counts attempts by address in windows of a minute; refused ones count nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[tuple[str, str], int] = defaultdict(int)

    def take(self, what: str, address: str, most: int, now_s: float) -> int | None:
        """Count one attempt, or return in how many seconds the next is free."""
        window = int(now_s // WINDOW_S)
        with self._lock:
            if window != self._window or len(self._counts) > ADDRESSES_MAX:
                self._window = window
                self._counts.clear()
            if self._counts[what, address] >= most:
                return WINDOW_S - int(now_s % WINDOW_S)
            self._counts[what, address] += 1
            return None


_attempts = Attempts()


def limit_attempts(what: str) -> None:
    """Count this request as an attempt at *what*. Raises `TooMany`."""
    most = services().settings.attempts_per_minute
    wait_s = _attempts.take(what, subscriber(client_address()), most, services().clock.monotonic())
    if wait_s is not None:
        raise TooMany(f"At most {most} attempts a minute from one address.", retry_after_s=max(1, wait_s))
