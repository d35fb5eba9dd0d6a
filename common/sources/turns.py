"""Whose turn it is at a source, when the next one comes, and how far the last one got: one document a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from common.ids import JobId
from common.sources.collections import INGESTION_LOGS, SOURCE_RUNS
from common.sources.source import Source
from common.tenancy.scope import OrgScope


@dataclass(frozen=True)
class RunState:
    """What one run leaves to the next: from when on to ask, and which fields the records had, as JSON."""

    watermark: str | None = None
    shape: Any = None


@dataclass(frozen=True)
class Turn:
    """A source's turn: of the job *job_id* since *claimed_at*, until that job has ended or another one took it.

    *last_job_id* is whose log tells of the run before.
    """

    job_id: JobId | None = None
    claimed_at: datetime | None = None
    last_job_id: JobId | None = None
    next_run_at: datetime | None = None


def find_turns(scope: OrgScope, source_ids: list[str]) -> dict[str, Turn]:
    """Return the turns of sources, by the source's id; one that came from an archive has none yet."""
    found = scope[SOURCE_RUNS].find({"_id": {"$in": source_ids}}, projection={"shape": 0})
    return {one["_id"]: read_turn(one) for one in found}


def find_turn(scope: OrgScope, source_id: str) -> Turn:
    """Return whose turn it is at a source."""
    return find_turns(scope, [source_id]).get(source_id, Turn())


def read_turn(document: Mapping[str, Any]) -> Turn:
    """Read MongoDB's *document*."""
    get = document.get
    return Turn(get("job_id"), get("claimed_at"), get("last_job_id"), get("next_run_at"))


def take(scope: OrgScope, source_id: str, was: Turn, job_id: JobId, at: datetime) -> bool:
    """Give the turn to a job, if it is still whose it *was*; tell whether it was given.

    Raises `DuplicateKeyError` where two jobs at once take the first turn of a source.
    """
    taken = {"job_id": job_id, "claimed_at": at, "last_job_id": _last(scope, was)}
    same = {"_id": source_id, "job_id": was.job_id}
    if scope[SOURCE_RUNS].update_one(same, {"$set": taken}):
        return True
    if scope[SOURCE_RUNS].find_one({"_id": source_id}, projection={"_id": 1}) is not None:
        return False
    scope[SOURCE_RUNS].insert_one({"_id": source_id, **taken})
    return True


def give_back(scope: OrgScope, source_id: str, job_id: JobId) -> None:
    """Take the turn from a job that was never accepted."""
    scope[SOURCE_RUNS].update_one({"_id": source_id, "job_id": job_id}, {"$set": {"job_id": None}})


def leave(scope: OrgScope, source_id: str, job_id: JobId, state: RunState) -> bool:
    """End a job's turn and keep what it leaves; tell whether it was its turn."""
    kept = {
        "job_id": None,
        "last_job_id": job_id,
        "watermark": state.watermark,
        "shape": orjson.dumps(state.shape).decode(),  # the names in it are an outside API's
    }
    return scope[SOURCE_RUNS].update_one({"_id": source_id, "job_id": job_id}, {"$set": kept}) == 1


def state_of(scope: OrgScope, source_id: str) -> RunState:
    """Return what the last run that ended whole left."""
    found = scope[SOURCE_RUNS].find_one({"_id": source_id}, projection={"watermark": 1, "shape": 1}) or {}
    shape = found.get("shape")
    return RunState(found.get("watermark"), orjson.loads(shape) if shape is not None else None)


def begin_anew(scope: OrgScope, source_id: str) -> None:
    """Forget how far runs got: the next one reads all there is."""
    scope[SOURCE_RUNS].update_one({"_id": source_id}, {"$set": {"watermark": None, "shape": None}})


def plan_next(scope: OrgScope, source: Source, at: datetime) -> None:
    """Let the next run come one interval after *at*, or none where the source has no interval."""
    every = source.every_minutes
    next_run_at = at + timedelta(minutes=every) if every is not None else None
    update = {"$set": {"next_run_at": next_run_at}}
    scope[SOURCE_RUNS].update_one({"_id": source.source_id}, update, upsert=True)


def end(scope: OrgScope, source_id: str) -> JobId | None:
    """Remove the turn of a source that is deleted; return whose it was."""
    found = find_turn(scope, source_id).job_id
    scope[SOURCE_RUNS].delete_one({"_id": source_id})
    return found


def _last(scope: OrgScope, was: Turn) -> JobId | None:
    """Return the last job that came to write a log: one that was cancelled before it ran has none."""
    if was.job_id is None or scope[INGESTION_LOGS].find_one({"_id": was.job_id}, projection={"_id": 1}) is None:
        return was.last_job_id
    return was.job_id
