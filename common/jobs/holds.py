"""Jobs that are held because their organization was deleted: nobody runs them until it is restored.

queued, waiting ──hold──▶ waiting for `organization_deleted`, with what they were ──release──▶ as they were
running ──ask──▶ stop at the next checkpoint, and are held when they are taken up again
"""

from collections.abc import Mapping, Sequence
from typing import Any

from common.clock import Clock
from common.ids import JobId, OrgId
from common.jobs.lanes import Lanes
from common.jobs.record import ENTRY_FIELDS, entry_of
from common.tenancy.control import ControlPlane

REASON = "organization_deleted"
PAGE = 500
_OPEN = {"state": {"$in": ["queued", "waiting"]}}
_FIELDS = dict.fromkeys((*ENTRY_FIELDS, "state", "run_at", "held"), 1)


class Holds:
    """Holds and releases the jobs of an organization, a page at a time."""

    def __init__(self, control: ControlPlane, lanes: Lanes, clock: Clock) -> None:
        self._jobs = control.jobs
        self._lanes = lanes
        self._clock = clock

    def hold_page(self, org_id: OrgId, after: str) -> tuple[int, str]:
        """Hold the next jobs that wait; return how many were, and the id to go on from, nothing at the end."""
        page = list(
            self._jobs.find({"org_id": org_id, "_id": {"$gt": after}, **_OPEN}, _FIELDS).sort("_id", 1).limit(PAGE)
        )
        fresh = [one for one in page if "held" not in one]
        if fresh:
            these = {"_id": {"$in": [one["_id"] for one in fresh]}, "org_id": org_id}
            self._jobs.update_many({**these, **_OPEN, "held": None}, held_update())
            self._lanes.forget_all_soon([entry_of(one) for one in fresh])
        return len(fresh), _next(page)

    def ask_running(self, org_id: OrgId) -> int:
        """Ask the jobs that run to stop at their next checkpoint; return how many run."""
        mine = {"org_id": org_id, "state": "running"}
        self._jobs.update_many({**mine, "asked_back": {"$ne": True}}, {"$set": {"asked_back": True}})
        return self._jobs.count_documents(mine)

    def release_page(self, org_id: OrgId, after: str) -> tuple[int, str]:
        """Let the next held jobs go on as they were; return how many, and the id to go on from."""
        mine = {"org_id": org_id, "state": "waiting", "_id": {"$gt": after}}
        page = list(self._jobs.find(mine, _FIELDS).sort("_id", 1).limit(PAGE))
        held = [one for one in page if "held" in one]
        if held:
            these = {"_id": {"$in": [JobId(one["_id"]) for one in held]}, "org_id": org_id}
            self._jobs.update_many({**these, "state": "waiting", "held": {"$exists": True}}, _RELEASED)
            self._admit(held)
        return len(held), _next(page)

    def _admit(self, held: Sequence[Mapping[str, Any]]) -> None:
        """Bring them to the lanes; whom this does not reach, the sweep finds."""
        was_queued = [one for one in held if one["held"]["state"] == "queued"]
        self._lanes.admit_all_soon(entry_of(one) for one in was_queued)
        now = self._clock.now()
        for one in held:
            run_at = one["held"].get("run_at")
            if one["held"]["state"] == "waiting" and run_at is not None:
                entry = entry_of(one)
                self._lanes.defer_soon(entry.queue, entry.member, max(0.0, (run_at - now).total_seconds()))


def held_update() -> list[Mapping[str, Any]]:
    """Return the update that holds a job and keeps what it was; one that ran is queued again afterwards."""
    was = {"$cond": [{"$eq": ["$state", "waiting"]}, "waiting", "queued"]}
    kept = {"state": was, "run_at": "$run_at", "waiting_for": "$waiting_for"}
    # As a literal: else MongoDB would merge it into what is there.
    holding = {"held": kept, "state": "waiting", "waiting_for": {"$literal": {"reason": REASON}}}
    return [{"$set": holding}, {"$unset": ["run_at", "lease", "asked_back"]}]


_RELEASED: list[Mapping[str, Any]] = [
    {
        "$set": {
            "state": "$held.state",
            "run_at": "$held.run_at",
            "waiting_for": "$held.waiting_for",
            "queued_at": "$$NOW",
        }
    },
    {"$unset": ["held"]},
]


def _next(page: Sequence[Mapping[str, Any]]) -> str:
    return str(page[-1]["_id"]) if len(page) == PAGE else ""
