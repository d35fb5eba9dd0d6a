"""Placing a new organization: pooled among the others, or dedicated in the database that has room."""

from collections.abc import Mapping

from pymongo.client_session import ClientSession

from common.clock import Clock
from common.events import EventType, append
from common.ids import PLATFORM, OrgId
from common.tenancy.capacity import Capacity, shown
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement, Registry

_RANK = ("ok", "warning", "full")


class Placing:
    """Places organizations in the transaction that accepts them."""

    def __init__(self, control: ControlPlane, registry: Registry, capacity: Capacity, clock: Clock) -> None:
        self._control = control
        self._registry = registry
        self._capacity = capacity
        self._clock = clock

    def pooled(self, org_id: OrgId) -> Placement:
        """Return the place of a pooled organization."""
        return self._registry.pooled(org_id)

    def measure(self) -> Mapping[str, tuple[int, int]]:
        """Return what the databases tell of themselves, before the transaction."""
        return self._capacity.measure()

    def dedicated(self, session: ClientSession, stats: Mapping[str, tuple[int, int]]) -> Placement:
        """Return the place of a dedicated organization; a limit that it reaches is an event of the platform.

        Raises `Unavailable` if every database is full.
        """
        before, after = self._capacity.choose(session, stats)
        if _RANK.index(after.state) > _RANK.index(before.state):
            event: EventType = "CapacityReached" if after.state == "full" else "CapacityWarning"
            append(self._control, session, self._clock, PLATFORM, event, actor="platform", data=shown(after))
        return after.placement
