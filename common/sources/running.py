"""Who runs a source: one job at a time, whatever is asked at once, and whoever dies.

The turn is taken before the job is accepted, by comparing and setting the job that has it. So it may be in the
hands of a job that was never accepted, because its maker died in between: such a one holds it for a minute. A job
that has ended holds nothing, and one that is retried takes the turn again, or fails if another one has it.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Literal

from pymongo.errors import DuplicateKeyError

from common.caller import Caller
from common.clock import Clock
from common.connectors.known import CONNECTORS
from common.errors import Conflict, JobFailed, NotFound, Refused
from common.ids import JobId, OrgId, new_id
from common.jobs import idempotency
from common.jobs.idempotency import AlreadyAnswered, Once
from common.jobs.record import FINAL, JobRecord
from common.jobs.submit import Submitter
from common.sources import credentials, turns
from common.sources.collections import SOURCES
from common.sources.source import ABSENT, active, find_source
from common.sources.turns import RunState, Turn
from common.tenancy.control import ControlPlane
from common.tenancy.scope import OrgScope
from common.tickets.ingest import IngestTickets

Mode = Literal["incremental", "full"]
MODES: tuple[Mode, ...] = ("incremental", "full")
UNKNOWN_FOR = timedelta(seconds=60)
"""How long a job that nobody has accepted may hold a turn: by then it is accepted, or its maker is gone."""
_TRIES = 5


class Runs:
    """The runs of all sources, each asked for with its organization."""

    def __init__(
        self, control: ControlPlane, scope_of: Callable[[OrgId], OrgScope], submitter: Submitter, clock: Clock
    ) -> None:
        self._control = control
        self._scope_of = scope_of
        self._submitter = submitter
        self._clock = clock

    def start(self, who: Caller, source_id: str, mode: Mode, *, once: Once | None = None) -> JobRecord:
        """Start a run of a source, unless one is going on.

        Raises `NotFound`; `Conflict` with the running job's link in `job`, or for a source that lacks credentials;
        and whatever `Submitter.submit` raises.
        """
        if once is not None:
            idempotency.look_up(self._control.idempotency, once, self._clock.now())
        scope, job_id = self._scope_of(who.org_id), JobId(new_id())
        _demand_credentials(scope, source_id)
        self._take(scope, source_id, job_id)
        try:
            job = IngestTickets(source_id=source_id, mode=mode)
            return self._submitter.submit(who, job, job_id=job_id, once=once)
        except (Refused, AlreadyAnswered):
            # Nothing was accepted. After any other error it may have been, and the turn stays with it.
            turns.give_back(scope, source_id, job_id)
            raise

    def demand_mine(self, scope: OrgScope, source_id: str, job_id: JobId) -> None:
        """Go on if it is the turn of this job, or nobody's: then it takes it. For a handler, in each transaction.

        Raises `JobFailed` with code `run-overtaken` if another job has it, or `source-deleted`.
        """
        was = turns.find_turn(scope, source_id)
        if was.job_id == job_id:
            return
        if self._is_held(scope.org_id, was):
            raise _overtaken()
        try:
            is_mine = _taken(scope, source_id, was, job_id, self._clock)
        except NotFound as error:
            raise JobFailed("The source was deleted.", code="source-deleted") from error
        if not is_mine:
            raise _overtaken()

    def state(self, scope: OrgScope, source_id: str) -> RunState:
        """Return what the last run that ended whole left to the next one."""
        return turns.state_of(scope, source_id)

    def finish(self, scope: OrgScope, source_id: str, job_id: JobId, *, watermark: str | None, shape: Any) -> None:
        """End the turn of a run that ended whole, and keep what it leaves; *shape* is any JSON.

        Raises `JobFailed` with code `run-overtaken` if it is not that job's turn.
        """
        if not turns.leave(scope, source_id, job_id, RunState(watermark, shape)):
            raise _overtaken()

    def demand_none(self, scope: OrgScope, source_id: str) -> None:
        """Go on if no run of the source is going on. Raises `Conflict` with its link."""
        was = turns.find_turn(scope, source_id)
        if self._is_held(scope.org_id, was):
            raise _going(was)

    def going(self, org_id: OrgId, job_ids: Iterable[JobId]) -> frozenset[JobId]:
        """Tell which of these jobs have not ended. One read."""
        mine = {"_id": {"$in": list(job_ids)}, "org_id": org_id, "state": {"$nin": sorted(FINAL)}}
        return frozenset(one["_id"] for one in self._control.jobs.find(mine, {"_id": 1}))

    def _take(self, scope: OrgScope, source_id: str, job_id: JobId) -> None:
        for _ in range(_TRIES):
            was = turns.find_turn(scope, source_id)
            if self._is_held(scope.org_id, was):
                raise _going(was)
            try:
                if scope.transaction(lambda inner: _taken(inner, source_id, was, job_id, self._clock)):  # noqa: B023
                    return
            except DuplicateKeyError:  # another one took the first turn of all
                continue
        raise _going(turns.find_turn(scope, source_id))

    def _is_held(self, org_id: OrgId, turn: Turn) -> bool:
        if turn.job_id is None:
            return False
        found = self._control.jobs.find_one({"_id": turn.job_id, "org_id": org_id}, {"state": 1})
        if found is not None:
            return found["state"] not in FINAL
        return turn.claimed_at is not None and self._clock.now() < turn.claimed_at + UNKNOWN_FOR


def _taken(scope: OrgScope, source_id: str, was: Turn, job_id: JobId, clock: Clock) -> bool:
    """Take the turn for a job, in the transaction of *scope*; tell whether it got it. Raises `NotFound`.

    It always writes to the source, so that this and a change or deletion at the same moment meet.
    """
    if not scope[SOURCES].update_one(active(source_id), {"$inc": {"touches": 1}}):
        raise NotFound(ABSENT)
    return turns.take(scope, source_id, was, job_id, clock.now())


def _demand_credentials(scope: OrgScope, source_id: str) -> None:
    """Go on if the source has what its connector needs: one from an archive comes without. Raises `Conflict`."""
    source = find_source(scope, source_id)
    known = CONNECTORS.get(source.connector)
    if known is None:
        raise Conflict(f"This version does not know the connector {source.connector}.")
    names = credentials.names_of(scope, [source_id]).get(source_id, ())
    # What each of them says was checked when it was given.
    if known.check_credentials(dict.fromkeys(names, "given"), source.config):
        raise Conflict("The source lacks credentials that its connector needs. Give it some first.")


def _going(turn: Turn) -> Conflict:
    extra = {"job": f"/v1/jobs/{turn.job_id}"} if turn.job_id is not None else {}
    return Conflict("A run of this source is going on. Wait for its end, or cancel it.", extra=extra)


def _overtaken() -> JobFailed:
    return JobFailed("Another run of this source is going on, or it was deleted.", code="run-overtaken")
