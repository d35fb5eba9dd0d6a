"""An error that another thread raises: at most once, never after it was disarmed, and leaving nothing behind."""

import sys
import threading
import time
from collections.abc import Callable
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
    late = 0
    for _ in range(200):
        interrupter = Interrupter(Stop)
        firing = threading.Thread(target=interrupter.fire)
        with suppress(Stop):  # it may be quick, and raised while that is still welcome
            firing.start()
        interrupter.disarm()
        firing.join()
        late += comes(lambda: [str(number) for number in range(50)])

    assert late == 0


def test_what_was_disarmed_is_never_raised() -> None:
    interrupter = Interrupter(Stop)
    interrupter.disarm()

    interrupter.fire()

    assert not comes(lambda: work_until(time.monotonic() + 0.01))


def test_a_traced_process_goes_on_after_it() -> None:
    """Coverage and debuggers trace; a signal that nobody takes away would stop them for good."""
    before, went_on = sys.gettrace(), []
    sys.settrace(lambda *_: None)
    try:
        for is_fired in (False, True):
            interrupter = Interrupter(Stop)
            with suppress(Stop):
                if is_fired:
                    threading.Thread(target=interrupter.fire).start()
            interrupter.disarm()
            went_on.append(not comes(lambda: work_until(time.monotonic() + 0.01)))
    finally:
        sys.settrace(before)

    assert went_on == [True, True]


def comes(work: Callable[[], object]) -> bool:
    """Tell whether the error is raised into *work*."""
    try:
        work()
    except Stop:
        return True
    return False


def work_until(ends_at: float) -> None:
    while time.monotonic() < ends_at:
        pass
