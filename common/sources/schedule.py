"""What is due is started: each source that has an interval, once for each time that comes; missed ones are let go.

A time is started under a key of its own before it is moved on, so that whoever dies in between, and two that take
themselves for the leader, start it once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.caller import Caller
from common.clock import Clock, rfc3339
from common.errors import FairwayError, NotFound
from common.ids import OrgId, new_id
from common.jobs.idempotency import AlreadyAnswered, Answer, Once
from common.logs import get_logger
from common.sources.collections import INGESTION_LOGS, SOURCE_RUNS, SOURCES
from common.sources.logs import IngestionLogs
from common.sources.running import Runs
from common.tenancy.registry import Registry
from common.tenancy.scope import OrgScope

MOST = 200
"""How many documents of a database, and sources of an organization, one pass looks at."""

log = get_logger()


@dataclass(frozen=True)
class Done:
    """What one pass did: runs that were started, times that came and went without, ends of logs that were due."""

    started: int = 0
    skipped: int = 0
    settled: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(self.started + other.started, self.skipped + other.skipped, self.settled + other.settled)


class Schedule:
    """Starts what is due, over all organizations."""

    def __init__(self, registry: Registry, runs: Runs, logs: IngestionLogs, clock: Clock) -> None:
        self._registry = registry
        self._runs = runs
        self._logs = logs
        self._clock = clock

    def once(self, most: int = MOST) -> Done:
        """Make one pass, those first that are due longest. After a `PyMongoError` the next pass goes on."""
        now, done = self._clock.now(), Done()
        for org_id in self._registry.with_due(SOURCE_RUNS, "next_run_at", now, most):
            done += self._start_due(org_id, now, most)
        for org_id in self._registry.with_due(INGESTION_LOGS, "settle_at", now, most):
            with suppress(NotFound):
                done += Done(settled=self._logs.settle(org_id, most))
        return done

    def _start_due(self, org_id: OrgId, now: datetime, most: int) -> Done:
        try:
            scope, organization = self._registry.scope(org_id), self._registry.get(org_id)
        except NotFound:  # it is gone, and its documents are going
            return Done()
        due = {"next_run_at": {"$lte": now}}
        rows = list(scope[SOURCE_RUNS].find(due, sort=[("next_run_at", 1)], limit=most))
        every = _intervals(scope, rows)
        done = Done()
        for row in rows:
            is_started = organization.is_active and row["_id"] in every and self._start(org_id, row)
            _move_on(scope, row, every.get(row["_id"]), now)
            done += Done(started=1) if is_started else Done(skipped=1)
        return done

    def _start(self, org_id: OrgId, row: Mapping[str, Any]) -> bool:
        """Start the run of one time that came; tell whether it was. One that is refused is not tried again."""
        source_id = row["_id"]
        caller = Caller(org_id=org_id, user_id=f"schedule:{source_id}", role="job", request_id=new_id())
        try:
            record = self._runs.start(caller, source_id, "incremental", once=_once(org_id, row))
        except AlreadyAnswered:  # whoever started it did not come to move it on
            return True
        except FairwayError as error:  # the last run still goes on, too many jobs wait, or credentials are missing
            log.info("schedule.skipped", source_id=source_id, reason=error.code)
            return False
        log.info("schedule.started", source_id=source_id, job_id=record.id)
        return True


def next_time(due: datetime, every: timedelta, now: datetime) -> datetime:
    """Return the first time after *now*, a whole number of intervals after *due*."""
    return due + every * ((now - due) // every + 1)


def _intervals(scope: OrgScope, rows: Sequence[Mapping[str, Any]]) -> dict[str, timedelta]:
    these = {"_id": {"$in": [row["_id"] for row in rows]}, "state": "active", "every_minutes": {"$ne": None}}
    found = scope[SOURCES].find(these, projection={"every_minutes": 1})
    return {one["_id"]: timedelta(minutes=one["every_minutes"]) for one in found}


def _move_on(scope: OrgScope, row: Mapping[str, Any], every: timedelta | None, now: datetime) -> None:
    """Set the next time, unless somebody has set another one meanwhile."""
    due = row["next_run_at"]
    update = {"$set": {"next_run_at": next_time(due, every, now) if every is not None else None}}
    scope[SOURCE_RUNS].update_one({"_id": row["_id"], "next_run_at": due}, update)


def _once(org_id: OrgId, row: Mapping[str, Any]) -> Once:
    key = f"{row['_id']} {rfc3339(row['next_run_at'])}"
    return Once(
        scope=org_id,
        operation="sources.schedule",
        key=key,
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        answer=lambda record: Answer(202, None, {"Location": f"/v1/jobs/{record.id}"}),
    )
