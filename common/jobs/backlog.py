"""How many jobs an organization may have waiting: too many are refused before anything is written.

A process remembers the number for a second and counts its own on top, so that accepting costs no round trip until
the limit is near. Where several processes accept at once, the limit may be passed by what they let in within that
second; while Redis does not answer nothing is refused, since the rate limit holds.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from common.clock import Clock
from common.errors import TooMany, Unavailable
from common.ids import OrgId
from common.jobs.kind import queues
from common.jobs.lanes import Lanes
from common.metrics import SWALLOWED

REMEMBERED_S = 1.0
REMEMBERED_MOST = 10_000
NEAR = 0.9
RETRY_AFTER_S = 5


@dataclass
class _Known:
    waiting: int
    near: float
    until: float


class Backlog:
    """Refuses jobs of organizations that have too many waiting; *most_of* tells how many each may have."""

    def __init__(self, lanes: Lanes, most_of: Callable[[OrgId], int], clock: Clock) -> None:
        self._lanes = lanes
        self._most_of = most_of
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[OrgId, _Known] = {}

    def make_room(self, org_id: OrgId) -> None:
        """Count one more job of *org_id*. Raises `TooMany` if that is more than may wait."""
        with self._lock:
            known = self._known.get(org_id)
            if known and known.waiting < known.near and self._clock.monotonic() < known.until:
                known.waiting += 1
                return
        most = self._most_of(org_id)
        waiting = self._ask(org_id, most)
        if waiting >= most:
            raise TooMany(
                f"{waiting} jobs of this organization wait already; its tier lets {most} wait. Cancel some, or try"
                " again when some have run.",
                retry_after_s=RETRY_AFTER_S,
            )

    def _ask(self, org_id: OrgId, most: int) -> int:
        try:
            waiting, _ = self._lanes.waiting(org_id, queues())
        except Unavailable:
            SWALLOWED.labels("backlog").inc()
            waiting = 0
        with self._lock:
            if len(self._known) >= REMEMBERED_MOST:
                self._known.clear()
            self._known[org_id] = _Known(waiting + 1, most * NEAR, self._clock.monotonic() + REMEMBERED_S)
        return waiting
