"""The log of a run: what it found and how it ended. The handler keeps it in the transactions of its pages.

A handler that is killed, or whose job fails, never comes to write the end. Until the sweeper has, such a log is
shown as its job ended.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from common.clock import Clock
from common.ids import JobId, OrgId
from common.jobs.record import FINAL
from common.sources.collections import INGESTION_LOGS
from common.sources.running import Mode
from common.tenancy.control import ControlPlane
from common.tenancy.scope import OrgScope

Status = Literal["running", "succeeded", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = ("running", "succeeded", "failed", "cancelled")
COUNTED = ("new", "updated", "unchanged", "repeated", "returned", "deleted", "errors", "pages", "waits")
KEPT_FOR = timedelta(days=90)
SHAPE_CHANGES_MAX = 100
SETTLED_EVERY = timedelta(hours=1)
_UNKNOWN = {"code": "unknown", "detail": "The job's record is kept no longer, and the run had not told its end."}


@dataclass(frozen=True)
class IngestionLog:
    """A run of a source; *counts* has a number for each of `COUNTED`."""

    job_id: JobId
    source_id: str
    mode: Mode
    status: Status
    started_at: datetime
    ended_at: datetime | None = None
    error: Mapping[str, Any] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    shape_changes: Sequence[Mapping[str, Any]] = ()
    kept_because: str | None = None


def begin(scope: OrgScope, job_id: JobId, source_id: str, mode: Mode, at: datetime) -> None:
    """Begin the log of a run, or go on with it: what it counted before stays."""
    first = {
        "source_id": source_id,
        "mode": mode,
        "started_at": at,
        "expires_at": at + KEPT_FOR,
        "shape_changes": [],
        **dict.fromkeys(COUNTED, 0),
    }
    again = {"status": "running", "ended_at": None, "error": None, "settle_at": at + SETTLED_EVERY}
    scope[INGESTION_LOGS].update_one({"_id": job_id}, {"$setOnInsert": first, "$set": again}, upsert=True)


def note(
    scope: OrgScope, job_id: JobId, figures: Mapping[str, int], *, error: Mapping[str, Any] | None = None
) -> None:
    """Write how far a run is: all that it has counted so far, by the names in `COUNTED`, and what holds it up."""
    scope[INGESTION_LOGS].update_one({"_id": job_id}, {"$set": _counted(figures) | {"error": error}})


def end(
    scope: OrgScope,
    job_id: JobId,
    status: Status,
    at: datetime,
    figures: Mapping[str, int] | None = None,
    *,
    error: Mapping[str, Any] | None = None,
    shape_changes: Sequence[Mapping[str, Any]] = (),
    kept_because: str | None = None,
) -> None:
    """Write the end of a run; *error* is `{code, detail}`. The first hundred *shape_changes* are kept.

    *kept_because* says why a full run deleted nothing.
    """
    told = {
        "shape_changes": [dict(one) for one in shape_changes[:SHAPE_CHANGES_MAX]],
        "kept_because": kept_because,
    }
    fields = _ended(status, at, error) | _counted(figures or {}) | told
    scope[INGESTION_LOGS].update_one({"_id": job_id}, {"$set": fields, "$unset": {"settle_at": ""}})


class IngestionLogs:
    """The logs of all organizations, as they are read."""

    def __init__(self, control: ControlPlane, scope_of: Callable[[OrgId], OrgScope], clock: Clock) -> None:
        self._control = control
        self._scope_of = scope_of
        self._clock = clock

    def get(self, org_id: OrgId, job_id: str) -> IngestionLog | None:
        """Return the log of a job's run, or `None`."""
        return next(iter(self.these(org_id, [JobId(job_id)])), None)

    def these(self, org_id: OrgId, job_ids: Iterable[JobId]) -> list[IngestionLog]:
        """Return the logs of these jobs' runs; one that has none is left out."""
        wanted = list(job_ids)
        if not wanted:
            return []
        rows = list(self._scope_of(org_id)[INGESTION_LOGS].find({"_id": {"$in": wanted}}))
        return self._as_they_ended(org_id, rows)

    def page(self, org_id: OrgId, *, source_id: str | None, before: str | None, limit: int) -> list[IngestionLog]:
        """List up to *limit* logs, of one source or of all, the newest job first."""
        where: dict[str, Any] = {} if source_id is None else {"source_id": source_id}
        where |= {} if before is None else {"_id": {"$lt": before}}
        found = self._scope_of(org_id)[INGESTION_LOGS].find(where, sort=[("_id", -1)], limit=limit)
        return self._as_they_ended(org_id, list(found))

    def settle(self, org_id: OrgId, most: int) -> int:
        """Write the ends that handlers did not come to, of up to *most* runs; return how many were looked at."""
        now, scope = self._clock.now(), self._scope_of(org_id)
        due = {"settle_at": {"$lte": now}}
        rows = list(scope[INGESTION_LOGS].find(due, sort=[("settle_at", 1)], limit=most))
        ends = self._ends(org_id, rows)
        for row in rows:
            same = {"_id": row["_id"], "settle_at": row["settle_at"]}
            if row["_id"] in ends:
                update: dict[str, Any] = {"$set": ends[row["_id"]], "$unset": {"settle_at": ""}}
            else:
                update = {"$set": {"settle_at": now + SETTLED_EVERY}}
            scope[INGESTION_LOGS].update_one(same, update)
        return len(rows)

    def _as_they_ended(self, org_id: OrgId, rows: Sequence[Mapping[str, Any]]) -> list[IngestionLog]:
        ends = self._ends(org_id, [row for row in rows if row["ended_at"] is None])
        return [_read({**row, **ends.get(row["_id"], {})}) for row in rows]

    def _ends(self, org_id: OrgId, rows: Sequence[Mapping[str, Any]]) -> dict[JobId, dict[str, Any]]:
        """Return how those of the runs ended whose jobs have, or are kept no longer. One read."""
        if not rows:
            return {}
        these = {"_id": {"$in": [row["_id"] for row in rows]}, "org_id": org_id}
        found = self._control.jobs.find(these, {"state": 1, "error": 1, "finished_at": 1})
        jobs = {one["_id"]: one for one in found}
        ends = {row["_id"]: _end_of(jobs.get(row["_id"]), row["started_at"]) for row in rows}
        return {job_id: end for job_id, end in ends.items() if end is not None}


def _end_of(job: Mapping[str, Any] | None, started_at: datetime) -> dict[str, Any] | None:
    if job is None:
        return _ended("failed", started_at, _UNKNOWN)
    if job["state"] not in FINAL:
        return None
    error = job.get("error")
    told = {"code": error["code"], "detail": error["detail"]} if error is not None else None
    return _ended(job["state"], job["finished_at"], told)


def _counted(figures: Mapping[str, int]) -> dict[str, int]:
    if unknown := figures.keys() - set(COUNTED):
        raise ValueError(f"A log does not count {', '.join(sorted(unknown))}.")
    return dict(figures)


def _ended(status: Status, at: datetime, error: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"status": status, "ended_at": at, "error": dict(error) if error is not None else None}


def _read(row: Mapping[str, Any]) -> IngestionLog:
    return IngestionLog(
        job_id=row["_id"],
        source_id=row["source_id"],
        mode=row["mode"],
        status=row["status"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        error=row["error"],
        counts={name: row[name] for name in COUNTED},
        shape_changes=tuple(row["shape_changes"]),
        kept_because=row.get("kept_because"),
    )
