"""Jobs that are held because their organization was deleted: nobody runs them until it is restored.

queued, waiting ──hold──▶ waiting for `organization_deleted`, with what they were ──release──▶ as they were
running ──ask──▶ stop at the next checkpoint, and are held when they are taken up again
"""

from collections.abc import Mapping, Sequence
from typing import Any

from common.clock import Clock
from common.ids import OrgId
from common.jobs.lanes import Lanes
from common.jobs.record import ENTRY_FIELDS, entry_of
from common.tenancy.control import ControlPlane

REASON = "organization_deleted"
PAGE = 500
_OPEN = {"state": {"$in": ["queued", "waiting"]}}
_FREE = {**_OPEN, "waiting_for.reason": {"$ne": REASON}}
_HELD = {"state": "waiting", "waiting_for.reason": REASON}
_FIELDS = dict.fromkeys((*ENTRY_FIELDS, "state", "run_at", "waiting_for"), 1)


class Holds:
    """Holds and releases the jobs of an organization, a page at a time."""

    def __init__(self, control: ControlPlane, lanes: Lanes, clock: Clock) -> None:
        self._jobs = control.jobs
        self._lanes = lanes
        self._clock = clock

    def hold_page(self, org_id: OrgId, after: str) -> tuple[int, str]:
        """Hold the next jobs that wait; return how many were, and the id to go on from, nothing at the end."""
        page = self._page(org_id, after, _FREE)
        these = {"_id": {"$in": [one["_id"] for one in page]}, "org_id": org_id}
        if page:
            self._jobs.update_many({**these, **_FREE}, held_update())
            # One that was claimed meanwhile keeps its place: its holder counts against the organization's cap.
            self._lanes.forget_all_soon([entry_of(one) for one in self._jobs.find({**these, **_HELD}, _FIELDS)])
        return len(page), _next(page)

    def ask_running(self, org_id: OrgId) -> int:
        """Ask the jobs that run to stop at their next checkpoint; return how many run."""
        mine = {"org_id": org_id, "state": "running"}
        self._jobs.update_many({**mine, "asked_back": {"$ne": True}}, {"$set": {"asked_back": True}})
        return self._jobs.count_documents(mine)

    def release_page(self, org_id: OrgId, after: str) -> tuple[int, str]:
        """Let the next held jobs go on as they were; return how many, and the id to go on from."""
        page = self._page(org_id, after, _HELD)
        these = {"_id": {"$in": [one["_id"] for one in page]}, "org_id": org_id}
        if page:
            self._jobs.update_many({**these, **_HELD}, _RELEASED)
            self._admit(list(self._jobs.find({**these, **_OPEN}, _FIELDS)))
        return len(page), _next(page)

    def _page(self, org_id: OrgId, after: str, which: Mapping[str, Any]) -> list[dict[str, Any]]:
        where = {"org_id": org_id, "_id": {"$gt": after}, **which}
        return list(self._jobs.find(where, _FIELDS).sort("_id", 1).limit(PAGE))

    def _admit(self, released: Sequence[Mapping[str, Any]]) -> None:
        """Bring them to the lanes; whom this does not reach, the sweep finds."""
        self._lanes.admit_all_soon(entry_of(one) for one in released if one["state"] == "queued")
        now = self._clock.now()
        for one in released:
            if one["state"] == "waiting" and "run_at" in one:
                entry = entry_of(one)
                self._lanes.defer_soon(entry.queue, entry.member, max(0.0, (one["run_at"] - now).total_seconds()))


def held_update() -> list[Mapping[str, Any]]:
    """Return the update that holds a job and keeps what it was; one that ran is queued again afterwards."""
    was = {"$cond": [{"$eq": ["$state", "waiting"]}, "waiting", "queued"]}
    kept = {"state": was, "run_at": "$run_at", "waiting_for": "$waiting_for"}
    # As a literal: else MongoDB would merge it into what is there.
    holding = {"held": kept, "state": "waiting", "waiting_for": {"$literal": {"reason": REASON}}}
    return [{"$set": holding}, {"$unset": ["run_at", "lease", "asked_back"]}]


_CHILDREN_ENDED = {
    "$and": [
        {"$eq": ["$held.waiting_for.reason", "children"]},
        {"$lte": [{"$ifNull": ["$open_children", 0]}, 0]},
    ]
}
"""Of a parent whose last child ended while it was held: that end woke nobody, so the release does."""

_RELEASED: list[Mapping[str, Any]] = [
    {
        "$set": {
            "state": {"$cond": [_CHILDREN_ENDED, "queued", "$held.state"]},
            "run_at": "$held.run_at",
            "waiting_for": {"$cond": [_CHILDREN_ENDED, "$$REMOVE", "$held.waiting_for"]},
            "queued_at": "$$NOW",
        }
    },
    {"$unset": ["held"]},
]


def _next(page: Sequence[Mapping[str, Any]]) -> str:
    return str(page[-1]["_id"]) if len(page) == PAGE else ""
