"""An error that another thread raises: at most once, never after it was disarmed, and leaving nothing behind."""

import sys
import threading
import time
from contextlib import suppress

import pytest

from common.coordination.interrupt import Interrupter


class Stop(Exception):
    """What is raised."""


def test_it_is_raised_in_the_thread_that_works() -> None:
    interrupter = Interrupter(Stop)
    threading.Timer(0.05, interrupter.fire).start()

    with pytest.raises(Stop):
        work_until(time.monotonic() + 20)
    interrupter.disarm()


def test_what_was_fired_a_moment_ago_does_not_come_later() -> None:
    for _ in range(200):
        interrupter = Interrupter(Stop)
        firing = threading.Thread(target=interrupter.fire)
        with suppress(Stop):  # it may be quick, and raised while that is still welcome
            firing.start()
        interrupter.disarm()
        firing.join()
        for _ in range(50):
            str(interrupter)


def test_what_was_disarmed_is_never_raised() -> None:
    interrupter = Interrupter(Stop)
    interrupter.disarm()

    interrupter.fire()

    work_until(time.monotonic() + 0.01)


def test_a_traced_process_goes_on_after_it() -> None:
    """Coverage and debuggers trace; a signal that nobody takes away would stop them for good."""
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        for is_fired in (False, True):
            interrupter = Interrupter(Stop)
            with suppress(Stop):
                if is_fired:
                    threading.Thread(target=interrupter.fire).start()
            interrupter.disarm()
            work_until(time.monotonic() + 0.01)
    finally:
        sys.settrace(before)


def work_until(ends_at: float) -> None:
    while time.monotonic() < ends_at:
        pass
