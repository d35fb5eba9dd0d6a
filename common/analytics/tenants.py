"""What all tenants used lately, one against the other: asked of the control plane and the lanes alone.

No tenant's database is asked: storage is what each had when that last changed.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from common.analytics.troubles import Tenant
from common.clock import Clock
from common.errors import Unavailable
from common.ids import PLATFORM, OrgId
from common.jobs.kind import queues
from common.jobs.lanes import Lanes, Line
from common.jobs.store import JobStore
from common.metering import kept
from common.metering.figures import HOUR
from common.metrics import SWALLOWED
from common.tenancy.control import ControlPlane
from common.tenancy.tiers import PLATFORM_TIER, Allowance, Tiers

Window = Literal["hour", "day"]
HOURS: Mapping[Window, int] = {"hour": 1, "day": 24}
LINE_MAX = 1_000
WITHIN_MS = 5_000


class Tenants:
    """Looks at all tenants at once; for operators."""

    def __init__(self, control: ControlPlane, jobs: JobStore, lanes: Lanes, clock: Clock, tiers: Tiers) -> None:
        self._control = control
        self._jobs = jobs
        self._lanes = lanes
        self._clock = clock
        self._tiers = tiers

    def window(self, which: Window) -> tuple[datetime, datetime]:
        """Return the whole hours that are looked at: the one that has begun, and the last one, or the last 24."""
        begun = self._clock.now().replace(minute=0, second=0, microsecond=0)
        return begun - HOURS[which] * HOUR, begun + HOUR

    def look(self, which: Window) -> list[Tenant]:
        """Return every tenant that used anything in that window, stores anything, or has jobs now.

        Without the lanes' Redis nobody waits. Raises `ExecutionTimeout` for more than can be read in
        seconds.
        """
        used = kept.by_organization(self._control, *self.window(which), within_ms=WITHIN_MS)
        waiting = self._in_line()
        running = Counter(OrgId(one["org_id"]) for one in self._jobs.held_by_workers())
        stored = kept.storage(self._control, within_ms=WITHIN_MS)
        ids = used.keys() | waiting.keys() | running.keys() | stored.keys()
        known, tiers = self._known(list(ids)), self._tiers.all()
        return [
            _tenant(
                org_id,
                known.get(org_id, {}),
                tiers,
                sums=used.get(org_id, {}),
                waiting=waiting[org_id],
                running=running[org_id],
                storage_bytes=stored.get(org_id, 0),
            )
            for org_id in sorted(ids)
        ]

    def _in_line(self) -> Counter[OrgId]:
        """Count the jobs of those who stand in line, the first thousand of each queue."""
        waiting = Counter[OrgId]()
        try:
            for queue in queues():
                for line in get_args(Line):
                    for one in self._lanes.line(queue, line, 0, LINE_MAX):
                        waiting[one.org_id] += one.waiting
        except Unavailable:
            SWALLOWED.labels("tenants.lanes").inc()
        return waiting

    def _known(self, org_ids: list[OrgId]) -> dict[OrgId, Mapping[str, Any]]:
        found = self._control.organizations.find({"_id": {"$in": org_ids}}, {"name": 1, "tier": 1})
        return {one["_id"]: one for one in found.max_time_ms(WITHIN_MS)}


def _tenant(
    org_id: OrgId, known: Mapping[str, Any], tiers: Mapping[str, Allowance], *, waiting: int, **have: Any
) -> Tenant:
    """Return a tenant; one that is gone by now has no name."""
    tier = PLATFORM_TIER if org_id == PLATFORM else known.get("tier", "free")
    name = "The platform" if org_id == PLATFORM else known.get("name", "")
    allowance = tiers[tier]
    return Tenant(org_id, name, tier, allowance.weight, waiting=waiting, waiting_limit=allowance.waiting, **have)
