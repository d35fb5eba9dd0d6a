"""Where passwords are hashed: few at a time, first come first served, and after everybody else's requests.

A hash takes a core, or several, for a tenth of a second. So it is made in threads of lower priority than all else:
where nobody wants the cores it is as fast as ever, and where somebody does it takes a quarter of its turn.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from common.errors import Unavailable

T = TypeVar("T")
PATIENCE_S = 2.0
"""How long one waits for its turn: a few people at once are no reason to send anybody away."""
YIELDING = 5
"""How much these threads yield to others (nice(2)): on Linux it is each thread's own, and its children's."""


class Hashing:
    """So many hashes at a time in this process."""

    def __init__(self, places: int) -> None:
        self._pool = ThreadPoolExecutor(places, thread_name_prefix="hashing", initializer=_yield_to_others)

    def do(self, work: Callable[[], T]) -> T:
        """Do *work* in its turn. Raises whatever it raises, or `Unavailable` if its turn does not come in time."""
        future: Future[T] = self._pool.submit(work)
        with suppress(TimeoutError):
            return future.result(PATIENCE_S)
        if future.cancel():
            raise Unavailable("Too many are signing in at this moment. Try again shortly.", retry_after_s=1)
        return future.result()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _yield_to_others() -> None:
    with suppress(OSError, AttributeError):  # a system without it hashes as urgently as it answers
        here = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), here + YIELDING)
