"""A source as it stands: what it is, which credentials it has, and how its runs go."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.ids import JobId
from common.sources import credentials, turns
from common.sources.logs import IngestionLog, IngestionLogs
from common.sources.running import Runs
from common.sources.source import Source
from common.sources.turns import Turn
from common.tenancy.scope import OrgScope


@dataclass(frozen=True)
class Standing:
    """A source and what changes beside it; *last_run* is the last one that has ended and told of itself."""

    source: Source
    credential_fields: Sequence[str]
    next_run_at: datetime | None = None
    running_job_id: JobId | None = None
    last_run: IngestionLog | None = None


def of_new(source: Source, credential_fields: Sequence[str]) -> Standing:
    """Return how a source stands that was made a moment ago."""
    every = source.every_minutes
    next_run_at = source.created_at + timedelta(minutes=every) if every is not None else None
    return Standing(source, tuple(sorted(credential_fields)), next_run_at)


def standings(scope: OrgScope, runs: Runs, logs: IngestionLogs, sources: Sequence[Source]) -> list[Standing]:
    """Return how *sources* stand, in five reads however many they are."""
    ids = [one.source_id for one in sources]
    names, turn_of = credentials.names_of(scope, ids), turns.find_turns(scope, ids)
    taken = [turn.job_id for turn in turn_of.values() if turn.job_id is not None]
    going = runs.going(scope.org_id, taken) if taken else frozenset()
    told = {one.job_id: one for one in logs.these(scope.org_id, _jobs(turn_of.values()))}
    found = []
    for source in sources:
        turn = turn_of.get(source.source_id, Turn())
        running = turn.job_id if turn.job_id in going else None
        last = told.get(turn.job_id) if running is None and turn.job_id is not None else None
        if last is None and turn.last_job_id is not None:
            last = told.get(turn.last_job_id)
        fields = names.get(source.source_id, ())
        found.append(Standing(source, fields, turn.next_run_at, running, last))
    return found


def _jobs(of: Iterable[Turn]) -> list[JobId]:
    return [job_id for turn in of for job_id in (turn.job_id, turn.last_job_id) if job_id is not None]
