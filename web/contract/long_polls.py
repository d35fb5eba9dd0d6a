"""Long polls: a request waits for something, while others are worked on in its place."""

from collections.abc import Callable
from typing import TypeVar

from common.clock import Clock
from web.contract import stopping
from web.contract.places import waiting

T = TypeVar("T")
LOOK_AGAIN_S = (0.05, 0.1, 0.2, 0.35, 0.5)


def wait_for(look: Callable[[], T | None], *, wait_s: float, clock: Clock) -> T | None:
    """Call *look* at growing distance until it returns something, and return that.

    Returns `None` when *wait_s* are over, at once if too many wait in this process already, and as soon as it is
    asked to stop: then the caller answers with what it knows.
    """
    ends_at_s = clock.monotonic() + wait_s
    with waiting() as may_wait:
        gaps_s = iter(LOOK_AGAIN_S)
        while may_wait and (left_s := ends_at_s - clock.monotonic()) > 0:
            if stopping.wait(min(left_s, next(gaps_s, LOOK_AGAIN_S[-1]))):
                return None
            if (found := look()) is not None:
                return found
    return None
