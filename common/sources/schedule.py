"""What is due is started: each source that has an interval, once for each time that comes; missed ones are let go.

A time is started under a key of its own before it is moved on, so that whoever dies in between, and two that take
themselves for the leader, start it once. It is not moved on while nobody can tell whether it was started: the next
pass tries it again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.caller import Caller
from common.clock import Clock, rfc3339
from common.errors import Conflict, FairwayError, NotFound, Refused
from common.ids import OrgId, new_id
from common.jobs.idempotency import AlreadyAnswered, Answer, Once
from common.logs import get_logger
from common.sources import turns
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
    """What one pass did: runs that were started, times that came and went without, ends of logs that were due.

    *put_off* are the times that the next pass tries again.
    """

    started: int = 0
    skipped: int = 0
    settled: int = 0
    put_off: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(
            started=self.started + other.started,
            skipped=self.skipped + other.skipped,
            settled=self.settled + other.settled,
            put_off=self.put_off + other.put_off,
        )


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
            is_wanted = organization.is_active and row["_id"] in every
            one = self._start(scope, row) if is_wanted else Done(skipped=1)
            if not one.put_off:
                _move_on(scope, row, every.get(row["_id"]), now)
            done += one
        return done

    def _start(self, scope: OrgScope, row: Mapping[str, Any]) -> Done:
        """Start the run of one time that came. One that is refused is not tried again, any other failure is."""
        org_id = scope.org_id
        source_id = row["_id"]
        caller = Caller(org_id=org_id, user_id=f"schedule:{source_id}", role="job", request_id=new_id())
        try:
            record = self._runs.start(caller, source_id, "incremental", once=_once(org_id, row))
        except AlreadyAnswered:  # whoever started it did not come to move it on
            return Done(started=1)
        except FairwayError as error:
            if not isinstance(error, Refused) or self._is_unknown(scope, source_id, error):
                log.info("schedule.put_off", source_id=source_id, reason=error.code)
                return Done(put_off=1)
            # The last run still goes on, too many jobs wait, or credentials are missing.
            log.info("schedule.skipped", source_id=source_id, reason=error.code)
            return Done(skipped=1)
        log.info("schedule.started", source_id=source_id, job_id=record.id)
        return Done(started=1)

    def _is_unknown(self, scope: OrgScope, source_id: str, error: Refused) -> bool:
        """Tell whether it was refused for a job that has the turn and does not go on.

        Either nobody has accepted it, because whoever took the turn for it died or is about to submit it; then it
        is known within a minute. Or it has just ended.
        """
        if not isinstance(error, Conflict) or "job" not in error.extra:
            return False
        job_id = turns.find_turn(scope, source_id).job_id
        return job_id is None or job_id not in self._runs.going(scope.org_id, [job_id])


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
