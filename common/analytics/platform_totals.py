"""What all organizations come to: a row for each, added up into totals that are kept beside earlier ones.

platform_tenants  {_id: "run organization", run_id, org_id, …what is shown, queue: histogram}, for 35 days
platform_totals   {_id: run, begun_at, as_of, …what is shown}, for 800 days
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pymongo import ASCENDING, DESCENDING, IndexModel, ReadPreference, ReplaceOne

from common.analytics import queue_times
from common.clock import Clock, rfc3339
from common.errors import NotFound
from common.files.collections import FILES
from common.ids import OrgId, first_id_at
from common.metering.figures import day_of
from common.sources.collections import SOURCES
from common.tenancy.census import Batch, Census, Sum
from common.tenancy.control import ControlPlane
from common.tickets.counting.cells import SPANS
from common.tickets.counting.collections import DELTAS, ROLLUPS

ABSENT = "There are no such totals."
USED_OVER = timedelta(days=7)
QUEUED_OVER = timedelta(days=1)
DOMAINS_MOST = 100
_DAY_S = 24 * 3600
_SUMMED = ("users", "tickets", "sources", "files", "storage_bytes", "jobs", "ended", "failed")
_GROWING = ("organizations", "users", "tickets")
_SINCE = (timedelta(0), timedelta(days=7), timedelta(days=30))
"""With which earlier totals new ones are compared: the last, and those of so long ago."""

Sort = Literal["failed", "queue_p95_s", "jobs", "tickets", "storage_bytes", "users"]
SORTS: tuple[Sort, ...] = ("failed", "queue_p95_s", "jobs", "tickets", "storage_bytes", "users")
TOTALS_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "platform_totals": (IndexModel([("begun_at", ASCENDING)], expireAfterSeconds=800 * _DAY_S, name="expiry"),),
    "platform_tenants": (
        IndexModel([("as_of", ASCENDING)], expireAfterSeconds=35 * _DAY_S, name="expiry"),
        *(
            IndexModel([("run_id", ASCENDING), (one, DESCENDING), ("org_id", ASCENDING)], name=one)
            for one in SORTS
        ),
    ),
}

# The largest rollups have every ticket that a delta has not.
_TICKETS = (
    Sum(ROLLUPS, {"source_id": None, "span": max(SPANS)}, "$cells.0.counts.total"),
    Sum(DELTAS, {}, {"$sum": "$parts.counts.total"}),
)
_DATA = (*_TICKETS, Sum(SOURCES, {"deleted_at": None}, 1), Sum(FILES, {}, 1))


class PlatformTotals:
    """Measures all organizations and keeps what they come to; for operators."""

    def __init__(self, control: ControlPlane, census: Census, clock: Clock) -> None:
        self._control = control
        self._census = census
        self._clock = clock

    def measure(self, run_id: str, batch: Batch) -> list[dict[str, Any]]:
        """Return a row for each organization of *batch* that is still there."""
        now, org_ids = self._clock.now(), list(batch.org_ids)
        rolled, waiting, sources, files = self._census.sums(batch, _DATA)
        users, storage, used = self._users(org_ids), self._storage(org_ids), self._used(org_ids, now)
        queues = self._queues(org_ids, now)
        return [
            {
                "_id": f"{run_id} {org_id}",
                "run_id": run_id,
                "org_id": org_id,
                **known,
                "users": users.get(org_id, 0),
                "tickets": rolled.get(org_id, 0) + waiting.get(org_id, 0),
                "sources": sources.get(org_id, 0),
                "files": files.get(org_id, 0),
                "storage_bytes": storage.get(org_id, 0),
                **used.get(org_id, {"jobs": 0, "ended": 0, "failed": 0}),
                **_queue(queues.get(org_id, {})),
                "as_of": now,
            }
            for org_id, known in self._known(org_ids).items()
        ]

    def keep(self, rows: Sequence[Mapping[str, Any]], **options: Any) -> None:
        """Keep rows, in the place of those of an earlier attempt."""
        if rows:
            replaced = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
            self._control.platform_tenants.bulk_write(replaced, ordered=False, **options)

    def add_up(self, run_id: str, begun_at: datetime) -> dict[str, Any]:
        """Return the totals of a run, whose rows are all kept."""
        counted, sums, queues = _Counted(), Counter[str](), []
        for row in self._control.platform_tenants.find({"run_id": run_id}).batch_size(1_000):
            counted.add(row)
            sums.update({name: row[name] for name in _SUMMED})
            queues.append(row["queue"])
        totals = {"organizations": len(queues), **{name: sums[name] for name in _SUMMED}}
        return {
            "_id": run_id,
            "begun_at": begun_at,
            "as_of": self._clock.now(),
            "totals": totals,
            "organizations_by": counted.shown(),
            "queue": _without_buckets(_queue(queue_times.added(queues))),
            "growth": self._growth(totals, begun_at),
            "email_domains": self._domains(),
        }

    def get(self, run_id: str) -> dict[str, Any]:
        """Return the totals of a run as the API shows them. Raises `NotFound`."""
        found = self._control.platform_totals.find_one({"_id": {"$eq": run_id}})
        if found is None:
            raise NotFound(ABSENT)
        return shown(found)

    def page(self, *, before: str | None, limit: int) -> list[dict[str, Any]]:
        """List up to *limit* totals as the API shows them, the newest first."""
        where: dict[str, Any] = {"_id": {"$lt": before}} if before is not None else {}
        return [shown(one) for one in self._control.platform_totals.find(where).sort("_id", -1).limit(limit)]

    def tenants(
        self, run_id: str, sort: Sort, *, after: tuple[float | None, str] | None, limit: int
    ) -> list[dict[str, Any]]:
        """List up to *limit* organizations of a run, who has most of *sort* first, from a place on."""
        where: dict[str, Any] = {"run_id": {"$eq": run_id}}
        if after is not None:
            where["$or"] = _behind(sort, *after)
        found = self._control.platform_tenants.find(where).sort([(sort, -1), ("org_id", 1)]).limit(limit)
        return [_tenant(one) for one in found]

    def _known(self, org_ids: list[OrgId]) -> dict[OrgId, dict[str, Any]]:
        fields = {"name": 1, "tier": 1, "state": 1, "placement": 1, "created_at": 1}
        found = self._control.organizations.find({"_id": {"$in": org_ids}, "state": {"$ne": "purged"}}, fields)
        return {
            one["_id"]: {
                "name": one["name"],
                "tier": one["tier"],
                "state": one.get("state", "active"),
                "mode": one["placement"]["mode"],
                "created_at": one["created_at"],
            }
            for one in found.sort("_id", 1)
        }

    def _users(self, org_ids: list[OrgId]) -> dict[OrgId, int]:
        steps = [{"$match": {"org_id": {"$in": org_ids}}}, {"$group": {"_id": "$org_id", "n": {"$sum": 1}}}]
        return {one["_id"]: one["n"] for one in self._read("users").aggregate(steps)}

    def _storage(self, org_ids: list[OrgId]) -> dict[OrgId, int]:
        found = self._read("usage_storage").find({"_id": {"$in": org_ids}}, {"used_bytes": 1})
        return {one["_id"]: one["used_bytes"] for one in found}

    def _used(self, org_ids: list[OrgId], now: datetime) -> dict[OrgId, dict[str, int]]:
        figures = {name: {"$sum": f"${name}"} for name in ("jobs", "ended", "failed")}
        steps = [
            {"$match": {"org_id": {"$in": org_ids}, "day": {"$gte": day_of(now - USED_OVER)}}},
            {"$group": {"_id": "$org_id", **figures}},
        ]
        return {one.pop("_id"): one for one in self._read("usage").aggregate(steps)}

    def _queues(self, org_ids: list[OrgId], now: datetime) -> dict[str, dict[str, int]]:
        steps = queue_times.steps(org_ids, first_id_at(now - QUEUED_OVER), now)
        return queue_times.histograms(self._read("jobs").aggregate(steps, hint="org_newest"))

    def _domains(self) -> list[dict[str, Any]]:
        steps = [
            {"$group": {"_id": "$email_domain", "users": {"$sum": 1}}},
            {"$sort": {"users": -1, "_id": 1}},
            {"$limit": DOMAINS_MOST},
        ]
        found = self._read("users").aggregate(steps, hint="email_domain")
        return [{"email_domain": one["_id"], "users": one["users"]} for one in found if one["_id"]]

    def _growth(self, totals: Mapping[str, int], begun_at: datetime) -> list[dict[str, Any]]:
        """Compare with earlier totals: the last ones, and those of a week and of a month ago, if there are any."""
        grown: dict[str, dict[str, Any]] = {}
        for ago in _SINCE:
            earlier = {"begun_at": {"$lt": begun_at - ago}}
            was = self._control.platform_totals.find_one(earlier, sort=[("begun_at", -1)])
            if was is not None:
                by = {name: totals[name] - was["totals"][name] for name in _GROWING}
                grown[was["_id"]] = {"since": was["begun_at"], **by}
        return list(grown.values())

    def _read(self, name: str) -> Any:
        return getattr(self._control, name).with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)


class _Counted:
    """How many organizations there are of each tier, state and placement."""

    _NAMES = ("tier", "state", "mode")

    def __init__(self) -> None:
        self._counts = {name: Counter[str]() for name in self._NAMES}

    def add(self, row: Mapping[str, Any]) -> None:
        for name in self._NAMES:
            self._counts[name][row[name]] += 1

    def shown(self) -> dict[str, dict[str, int]]:
        return {name: dict(sorted(counts.items())) for name, counts in self._counts.items()}


def shown(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return totals as the API shows them."""
    return {
        "id": stored["_id"],
        "totals": stored["totals"],
        "organizations_by": stored["organizations_by"],
        "queue": stored["queue"],
        "growth": [{**one, "since": rfc3339(one["since"])} for one in stored["growth"]],
        "email_domains": stored["email_domains"],
        "begun_at": rfc3339(stored["begun_at"]),
        "as_of": rfc3339(stored["as_of"]),
    }


def _tenant(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("org_id", "name", "tier", "state", "mode", *_SUMMED, "queue_jobs", "queue_p50_s", "queue_p95_s")
    instants = {"created_at": rfc3339(row["created_at"]), "as_of": rfc3339(row["as_of"])}
    return {**{name: row[name] for name in names}, **instants}


def _behind(sort: Sort, value: float | None, org_id: str) -> list[dict[str, Any]]:
    """Return what stands behind a place: those of less, those of whom it is not known, and then by their ids."""
    as_much = {sort: value, "org_id": {"$gt": org_id}}
    return [as_much] if value is None else [{sort: {"$lt": value}}, {sort: None}, as_much]


def _queue(histogram: queue_times.Histogram) -> dict[str, Any]:
    return {
        "queue_jobs": sum(histogram.values()),
        "queue_p50_s": queue_times.percentile_s(histogram, 50),
        "queue_p95_s": queue_times.percentile_s(histogram, 95),
        "queue": dict(histogram),
    }


def _without_buckets(queue: Mapping[str, Any]) -> dict[str, Any]:
    return {"jobs": queue["queue_jobs"], "p50_s": queue["queue_p50_s"], "p95_s": queue["queue_p95_s"]}
