"""What operators lay down for the lanes: tiers and pauses. MongoDB has it; Redis gets a copy to act on.

A pause stops that more is begun: what runs goes on. The sweep lays all of it down again with every pass, so that a
Redis that lost it, or was away while it was changed, has it within seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pymongo import ReturnDocument

from common.clock import Clock
from common.errors import NotFound, Unavailable
from common.ids import PLATFORM, OrgId, is_id
from common.jobs.kind import KINDS, discover, queues
from common.jobs.lanes import Lanes
from common.metrics import SWALLOWED
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Registry
from common.tenancy.tiers import PLATFORM_TIER, Allowance, Tier, Tiers

What = Literal["queue", "kind", "organization"]
LINE_MAX = 1_000


@dataclass(frozen=True)
class Pause:
    """What is paused: since when, and by whom."""

    what: What
    name: str
    since: datetime
    by: str


class Steering:
    """Changes what holds, in MongoDB first, then in Redis; where Redis is away, the sweep brings it there."""

    def __init__(
        self, control: ControlPlane, registry: Registry, tiers: Tiers, lanes: Lanes, clock: Clock
    ) -> None:
        self._state = control.platform_state
        self._registry = registry
        self._tiers = tiers
        self._lanes = lanes
        self._clock = clock

    def pauses(self) -> list[Pause]:
        """List what is paused."""
        found = self._state.find({"_id": {"$gte": "pause:", "$lt": "pause;"}})
        return [_pause(one) for one in found]

    def pause(self, what: What, name: str, *, by: str) -> Pause:
        """Begin no more of a queue's, a kind's or an organization's jobs. Raises `NotFound`."""
        self.must_exist(what, name)
        made = {"what": what, "name": name, "since": self._clock.now(), "by": by}
        found: Any = self._state.find_one_and_update(
            {"_id": {"$eq": f"pause:{what}:{name}"}},
            {"$setOnInsert": made},
            upsert=True,
            return_document=ReturnDocument.AFTER,  # as it is now: another may resume it before we look
        )
        self._soon(lambda: self._apply(what, name))
        return _pause(found)

    def resume(self, what: What, name: str) -> None:
        """Let the jobs go on. Raises `NotFound`, also if it is not paused."""
        if not self._state.delete_one({"_id": {"$eq": f"pause:{what}:{name}"}}).deleted_count:
            raise NotFound(f"No {what} of that name is paused.")
        self._soon(lambda: self._apply(what, name))

    def tier_changed(self, org_id: OrgId, tier: Tier) -> None:
        """Bring an organization's other tier, which is written, to the lanes: at once, or with the next sweep."""
        self._soon(lambda: self._lanes.replace(org_id, queues(), tier=tier))

    def change_tier(self, tier: str, changes: Mapping[str, int], *, was: int | None = None) -> Allowance:
        """Change the table of tiers. Raises like `Tiers.change`."""
        changed = self._tiers.change(tier, changes, was=was)
        self._soon(self._apply_tiers)
        return changed

    def rebuilding(self) -> Mapping[str, Any] | None:
        """Return how far the rebuild of the lanes is, `{admitted, stage}`, or `None` if none is under way."""
        found: Mapping[str, Any] | None = (self._state.find_one({"_id": "lanes"}) or {}).get("rebuilding")
        return found

    def lay_down(self) -> None:
        """Bring all of it to Redis. Raises `Unavailable`."""
        table = {tier: f"{one.weight} {one.running}" for tier, one in self._tiers.all().items()}
        rules = {
            f"cap:{kind.name}": str(kind.terms.max_running)
            for kind in discover().values()
            if kind.terms.max_running is not None
        }
        paused = self.pauses()
        rules |= {f"{one.what}:{one.name}": "paused" for one in paused if one.what != "organization"}
        self._lanes.lay_down(table, rules, [OrgId(one.name) for one in paused if one.what == "organization"])

    def tier_of(self, org_id: OrgId) -> str:
        """Return the tier of an organization, or nothing for one that is not made yet."""
        if org_id == PLATFORM:
            return PLATFORM_TIER
        try:
            return self._registry.get(org_id).tier
        except NotFound:
            return ""

    def allowance_of(self, org_id: OrgId) -> Allowance:
        """Return what an organization may use."""
        return self._tiers[self.tier_of(org_id) or "free"]

    def must_exist(self, what: What, name: str) -> None:
        """Raise `NotFound` for what can't be paused, because it is not there."""
        match what:
            case "queue":
                exists = name in queues()
            case "kind":
                exists = name in KINDS
            case "organization":
                exists = is_id(name) and self._registry.get(OrgId(name)) is not None
        if not exists:
            raise NotFound(f"There is no {what} of that name.")

    def _apply(self, what: What, name: str) -> None:
        self.lay_down()
        for queue in queues():
            if what == "kind":
                self._lanes.unstick(queue, name)
            elif what == "queue" and queue == name:
                self._lanes.kick(queue)
        if what == "organization":
            self._lanes.replace(OrgId(name), queues())

    def _apply_tiers(self) -> None:
        self.lay_down()
        for queue in queues():
            for one in self._lanes.line(queue, "over", 0, LINE_MAX):
                self._lanes.replace(one.org_id, [queue])

    def _soon(self, attempt: Callable[[], None]) -> None:
        try:
            attempt()
        except Unavailable:
            SWALLOWED.labels("steering").inc()


def _pause(document: Mapping[str, Any]) -> Pause:
    return Pause(document["what"], document["name"], document["since"], document["by"])
