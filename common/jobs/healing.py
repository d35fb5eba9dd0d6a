"""What the healers do with records: wake what is due, charge what was lost, list what is unfinished."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING

from common.errors import NotFound
from common.ids import JobId
from common.jobs.leases import Expired, Held, lease_of
from common.jobs.members import Entry, Member
from common.jobs.record import ENTRY_FIELDS, JobRecord, entry_of, read_document
from common.jobs.records import Records, expiry, pushed


class Healing(Records):
    """The steps of the sweep and of a worker's parent; none of them needs a lease of its own."""

    def wake(self, members: Sequence[Member]) -> list[Entry]:
        """Queue those of *members* whose time has come; return the queued ones."""
        ids = [member.job_id for member in members]
        orgs = list({member.org_id for member in members})
        # With majority: the read below sees only what a majority has.
        self._jobs.update_many(
            {
                "_id": {"$in": ids},
                "org_id": {"$in": orgs},
                "state": "waiting",
                "run_at": {"$lte": self._soonish()},
            },
            {
                "$set": {"state": "queued", "queued_at": self._clock.now()},
                "$unset": {"waiting_for": "", "run_at": ""},
            },
        )
        self.tell(ids)
        return self._queued({"_id": {"$in": ids}, "org_id": {"$in": orgs}})

    def expired(self, limit: int) -> list[Expired]:
        """List running jobs whose lease is over on the server's clock."""
        over = {"state": "running", "lease.expires_at": {"$exists": True}, "$expr": _OVER}
        found = self._jobs.find(over, _EXPIRED_FIELDS).hint("leases").limit(limit)
        return [
            Expired(
                Held(one["org_id"], one["_id"], one["lease"]["token"]), one["kind"], one["losses"], entry_of(one)
            )
            for one in found
        ]

    def charge_loss(self, held: Held, *, problem: Mapping[str, Any] | None, expired_only: bool) -> bool:
        """Charge the job with the death of its worker and queue it again, or end it as failed with *problem*."""
        query = lease_of(held) | ({"$expr": _OVER} if expired_only else {})
        update = {"$inc": {"losses": 1}, "$unset": {"lease": ""}, "$set": {"state": "queued"}}
        if problem is not None:
            now = self._clock.now()
            update["$set"] = {"state": "failed", "error": problem, "finished_at": now, **expiry("failed", now)}
            update["$push"] = pushed(problem)
            return self._finish(query, update, self._parent_of(held))
        return self._told(held.job_id, self._jobs.update_one(query, update).matched_count == 1)

    def unfinished(self, state: str, after: str, limit: int) -> list[dict[str, Any]]:
        """List up to *limit* jobs in *state* (queued or waiting) by id, from *after* on."""
        query = {"state": state, "_id": {"$gt": after}}
        fields = dict.fromkeys((*ENTRY_FIELDS, "run_at"), 1)
        return list(self._jobs.find(query, fields).hint("unfinished").sort("_id", ASCENDING).limit(limit))

    def running(self) -> Iterator[Entry]:
        """Go through all jobs that somebody runs, the newest claims too; there are not many more than slots."""
        query = {"state": "running", "lease.expires_at": {"$exists": True}}
        for one in self._soon.find(query, dict.fromkeys(ENTRY_FIELDS, 1)).hint("leases"):
            yield entry_of(one)

    def held_by_workers(self, most: int = 10_000) -> list[dict[str, Any]]:
        """List what is run: organization, kind, since when, and the lease."""
        fields = dict.fromkeys(("org_id", "kind", "started_at", "lease.worker", "lease.expires_at"), 1)
        query = {"state": "running", "lease.expires_at": {"$exists": True}}
        return list(self._soon.find(query, fields).hint("leases").limit(most))

    def count_running(self) -> dict[str, int]:
        """Count what is run, by queue."""
        steps: list[dict[str, Any]] = [
            {"$match": {"state": "running"}},
            {"$group": {"_id": "$queue", "count": {"$sum": 1}}},
        ]
        return {one["_id"]: one["count"] for one in self._soon.aggregate(steps, hint="leases")}

    def kinds_running(self, most: int = 100_000) -> list[str]:
        """Name the kind of each job that is run."""
        found = self._soon.find({"state": "running"}, {"kind": 1}).hint("leases").limit(most)
        return [one["kind"] for one in found]

    def of_anyone(self, job_id: str) -> JobRecord:
        """Return a job whosever it is: for operators. Raises `NotFound`."""
        document = self._jobs.find_one({"_id": {"$eq": job_id}})
        if document is None:
            raise NotFound("There is no such job.")
        return read_document(document)

    def oldest_queued(self, queue: str) -> datetime | None:
        """Return since when the oldest queued job of *queue* is there; `None`: none is."""
        query = {"state": "queued", "queue": queue}
        found = self._jobs.find_one(query, {"created_at": 1, "queued_at": 1}, sort=[("_id", ASCENDING)])
        return (found.get("queued_at") or found["created_at"]) if found else None

    def _parent_of(self, held: Held) -> JobId | None:
        found = self._jobs.find_one({"_id": held.job_id, "org_id": held.org_id}, {"parent_id": 1}) or {}
        return found.get("parent_id")

    def _queued(self, query: Mapping[str, Any]) -> list[Entry]:
        return [
            entry_of(one) for one in self._jobs.find({**query, "state": "queued"}, dict.fromkeys(ENTRY_FIELDS, 1))
        ]

    def _soonish(self) -> datetime:
        # Redis's clock said that the time has come; this one may be a little behind it.
        return self._clock.now() + timedelta(seconds=1)


_OVER = {"$lt": ["$lease.expires_at", "$$NOW"]}
_EXPIRED_FIELDS = dict.fromkeys((*ENTRY_FIELDS, "lease.token"), 1)
