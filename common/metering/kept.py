"""What is kept of what was metered: one document an organization and day of UTC, with its hours, for 400 days.

usage           {org_id, day, each figure: sum of the day, hours: {"0" … "23": {each figure: sum}}}
usage_batches   the batches that were added to it, by id
usage_storage   what each organization stored when that last changed: `{_id: org_id, org_id, used_bytes, at}`
usage_warnings  what each was warned of and still is near: `{_id, org_id, figure, at}`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, IndexModel

from common.ids import OrgId
from common.metering.figures import DAY, FIGURES, HOUR, Figure, day_of
from common.tenancy.control import ControlPlane

KEPT_DAYS = 400
_DAY_S = 24 * 3600
BATCHES_KEPT_DAYS = 100
"""How old a copy of Redis may be that is put back without its batches being added a second time."""

USAGE_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "usage": (
        IndexModel([("org_id", ASCENDING), ("day", ASCENDING)], name="org"),
        # For operators too, across organizations.
        IndexModel([("day", ASCENDING)], expireAfterSeconds=(KEPT_DAYS + 1) * _DAY_S, name="expiry"),
    ),
    "usage_batches": (
        IndexModel([("at", ASCENDING)], expireAfterSeconds=BATCHES_KEPT_DAYS * _DAY_S, name="expiry"),
    ),
    "usage_storage": (IndexModel([("org_id", ASCENDING)], name="org"),),
    "usage_warnings": (IndexModel([("org_id", ASCENDING)], name="org"),),
}
MOVED = {"_id": "usage"}
"""What in the platform's state tells up to when everything that was handed on is kept: `moved_at`."""

Sums = Mapping[Figure, int]


@dataclass(frozen=True)
class Day:
    """What an organization used on a day, or in those hours of it that were asked for."""

    day: datetime
    sums: Sums = field(default_factory=dict)


def id_of(org_id: OrgId, day: datetime) -> str:
    """Return the id of an organization's document of the day that begins then."""
    return f"{org_id} {day:%Y-%m-%d}"


def days_of(control: ControlPlane, org_id: OrgId, start: datetime, end: datetime) -> list[Day]:
    """Return what an organization used in the whole hours from *start* to before *end*, by day of UTC.

    Days without any use are left out.
    """
    days = {"$gte": day_of(start), "$lt": end}
    found = control.usage.find({"org_id": {"$eq": org_id}, "day": days}).sort("day", ASCENDING)
    return [Day(one["day"], sums) for one in found if (sums := _within(one, start, end))]


def hour(control: ControlPlane, org_ids: Sequence[OrgId], at: datetime) -> dict[OrgId, Sums]:
    """Return what organizations used in the hour of *at*, those that used anything."""
    day = day_of(at)
    name = f"hours.{at.hour}"
    found = control.usage.find({"_id": {"$in": [id_of(one, day) for one in org_ids]}}, {"org_id": 1, name: 1})
    return {one["org_id"]: sums for one in found if (sums := one.get("hours", {}).get(str(at.hour)))}


def by_organization(control: ControlPlane, start: datetime, end: datetime, *, within_ms: int) -> dict[OrgId, Sums]:
    """Return what each organization used in the whole hours from *start* to before *end*, a few days at most.

    It reads a document of each organization and day. Raises `ExecutionTimeout` if a day takes longer than
    *within_ms*.
    """
    sums: dict[OrgId, dict[Figure, int]] = {}
    day = day_of(start)
    while day < end:
        hours = [number for number in range(24) if start <= day + number * HOUR < end]
        added = {one: {"$sum": [f"$hours.{number}.{one}" for number in hours]} for one in FIGURES}
        steps: list[Mapping[str, Any]] = [{"$match": {"day": day}}, {"$project": {"org_id": 1, **added}}]
        for found in control.usage.aggregate(steps, maxTimeMS=within_ms, batchSize=10_000):
            of = sums.setdefault(found["org_id"], dict.fromkeys(FIGURES, 0))
            for figure in FIGURES:
                of[figure] += found[figure]
        day += DAY
    return {org_id: of for org_id, of in sums.items() if any(of.values())}


def note_storage(control: ControlPlane, org_id: OrgId, used_bytes: int, at: datetime) -> None:
    """Keep how much an organization stores, for those who look at all of them."""
    noted = {"org_id": org_id, "used_bytes": used_bytes, "at": at}
    control.usage_storage.update_one({"_id": org_id}, {"$set": noted}, upsert=True)


def storage(control: ControlPlane, *, within_ms: int) -> dict[OrgId, int]:
    """Return how many bytes each organization stores that stores any."""
    found = control.usage_storage.find({"used_bytes": {"$gt": 0}}, {"used_bytes": 1}).batch_size(10_000)
    return {one["_id"]: one["used_bytes"] for one in found.max_time_ms(within_ms)}


def moved_at(control: ControlPlane) -> datetime | None:
    """Return up to when all that was handed on is kept; `None` before the first time."""
    found: datetime | None = (control.platform_state.find_one(MOVED) or {}).get("moved_at")
    return found


def _within(document: Mapping[str, Any], start: datetime, end: datetime) -> Sums:
    """Add up the hours of a document that begin in [start, end)."""
    day: datetime = document["day"]
    if start <= day and day + DAY <= end:
        return {figure: document[figure] for figure in FIGURES if figure in document}
    sums: dict[Figure, int] = {}
    for number, of_hour in document.get("hours", {}).items():
        if start <= day + int(number) * HOUR < end:
            for figure in FIGURES:
                if figure in of_hour:
                    sums[figure] = sums.get(figure, 0) + of_hour[figure]
    return sums
