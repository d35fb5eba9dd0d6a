"""Long polls: a request may wait for something, but never so many that nobody is left to answer."""

import threading
from collections.abc import Callable
from typing import TypeVar

from common.clock import Clock
from web.contract import stopping

T = TypeVar("T")
LOOK_AGAIN_S = (0.05, 0.1, 0.2, 0.35, 0.5)


class Waiters:
    """The threads of this process that wait. Half of them at most: whoever comes later is answered at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def wait_for(self, look: Callable[[], T | None], *, wait_s: float, clock: Clock, most: int) -> T | None:
        """Call *look* at growing distance until it returns something, and return that.

        Returns `None` when *wait_s* are over, at once if *most* wait already, and as soon as the process is asked
        to stop: then the caller answers with what it knows.
        """
        if not self._enter(most):
            return None
        try:
            return _poll(look, clock.monotonic() + wait_s, clock)
        finally:
            self._leave()

    def _enter(self, most: int) -> bool:
        with self._lock:
            if self._count >= most:
                return False
            self._count += 1
            return True

    def _leave(self) -> None:
        with self._lock:
            self._count -= 1


def _poll(look: Callable[[], T | None], ends_at_s: float, clock: Clock) -> T | None:
    gaps_s = iter(LOOK_AGAIN_S)
    while (left_s := ends_at_s - clock.monotonic()) > 0:
        if stopping.wait(min(left_s, next(gaps_s, LOOK_AGAIN_S[-1]))):
            return None
        if (found := look()) is not None:
            return found
    return None
