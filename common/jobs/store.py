"""The records of all jobs: each change of a job's life is one conditional write, decided by MongoDB.

A tenant's reads carry its organization in the filter; the steps of the engine carry the lease token as well, so a
worker that lost its lease changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument, UpdateOne, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from common.clock import Clock
from common.errors import Conflict, NotFound
from common.ids import JobId, OrgId, new_id
from common.jobs.children import (
    CHILDREN_INDEXES,
    TO_CANCEL,
    WAITING,
    Children,
    Closed,
    cancelled_update,
)
from common.jobs.lanes import Entry, Member
from common.jobs.record import (
    ENTRY_FIELDS,
    ERRORS_KEPT,
    KEPT_FOR,
    JobRecord,
    State,
    entry_of,
    read_document,
)
from common.tenancy.control import ControlPlane

_QUEUED_FIRST = {"state": {"$in": ["queued", "waiting"]}}

JOBS_INDEXES = (
    IndexModel([("org_id", ASCENDING), ("_id", DESCENDING)], name="org_newest"),
    IndexModel(
        [("org_id", ASCENDING), ("kind", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)], name="org_kind"
    ),
    IndexModel([("org_id", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)], name="org_state"),
    # The three below serve the engine across organizations, never a tenant's query.
    IndexModel(
        [("state", ASCENDING), ("_id", ASCENDING)], name="unfinished", partialFilterExpression={**_QUEUED_FIRST}
    ),
    IndexModel(
        [("state", ASCENDING), ("lease.expires_at", ASCENDING)],
        name="leases",
        partialFilterExpression={"state": "running"},
    ),
    IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    *CHILDREN_INDEXES,
)


@dataclass(frozen=True)
class Claimed:
    """A job that this worker may run for as long as its lease holds; *token* proves the lease."""

    org_id: OrgId
    job_id: JobId
    kind: str
    queue: str
    payload: Mapping[str, Any]
    priority: int
    run: int
    claim: int
    attempt: int
    max_attempts: int
    losses: int
    parent_id: JobId | None
    submitted_by: str
    request_id: str
    token: str

    @property
    def member(self) -> Member:
        """Return the job's name in the lanes."""
        return Member(org_id=self.org_id, job_id=self.job_id)


@dataclass(frozen=True)
class Held:
    """A lease that a worker holds."""

    org_id: OrgId
    job_id: JobId
    token: str


@dataclass(frozen=True)
class Expired:
    """A job whose lease is over."""

    held: Held
    kind: str
    losses: int
    entry: Entry


@dataclass(frozen=True)
class LeaseNews:
    """What the record says to the holder of a lease."""

    lost: frozenset[str] = field(default_factory=frozenset)
    cancelled: frozenset[str] = field(default_factory=frozenset)


class JobStore:
    """The collection of records. Raises pymongo's errors where the server does not answer."""

    def __init__(
        self,
        control: ControlPlane,
        clock: Clock,
        *,
        lease_s: float,
        woken: Callable[[Sequence[Entry]], None] = lambda _: None,
    ) -> None:
        self.children = Children(control)
        self._control = control
        self._woken = woken
        self._jobs = control.jobs
        self._soon = control.jobs.with_options(write_concern=WriteConcern(w=1), read_concern=ReadConcern("local"))
        self._clock = clock
        self._lease_ms = int(lease_s * 1000)

    # What tenants do.

    def get(self, org_id: OrgId, job_id: str) -> JobRecord:
        """Return the job. Raises `NotFound`, also for another organization's."""
        document = self._jobs.find_one({"_id": job_id, "org_id": org_id})
        if document is None:
            raise NotFound("There is no such job.")
        return read_document(document)

    def page(
        self,
        org_id: OrgId,
        *,
        limit: int,
        kind: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        before: str | None = None,
    ) -> list[JobRecord]:
        """List up to *limit* jobs, newest first, from *before* (a job's id) on."""
        query: dict[str, Any] = {"org_id": org_id}
        if kind is not None:
            query["kind"] = kind
        if state is not None:
            query["state"] = state
        if since is not None:
            query["created_at"] = {"$gte": since}
        if before is not None:
            query["_id"] = {"$lt": before}
        return [read_document(one) for one in self._jobs.find(query).sort("_id", DESCENDING).limit(limit)]

    def cancel(self, org_id: OrgId, job_id: str) -> JobRecord:
        """Cancel a job that waits, at once, or ask a running one to stop at its next checkpoint.

        Raises `NotFound`, or `Conflict` if it has ended.
        """
        while True:  # a job may be claimed or given back between the two looks; either way the next one finds it
            record = self.get(org_id, job_id)
            if record.is_final:
                raise Conflict(f"The job has {record.state} already; it can't be cancelled.")
            this = {"_id": job_id, "org_id": org_id}
            ended = self._finish({**this, **_QUEUED_FIRST}, cancelled_update(self._clock.now()), record.parent_id)
            asked = {"cancel_requested": True, "cancelling_children": TO_CANCEL}
            if ended or self._update({**this, "state": "running"}, [{"$set": asked}]) is not None:
                return self.get(org_id, job_id)

    def cancel_children(self, org_id: OrgId, job_id: JobId) -> list[Entry]:
        """Cancel some of the children of a cancelled job; return where they stood, nothing if none is left."""
        now = self._clock.now()
        done = self._control.transaction(lambda session: self.children.cancel_some(session, org_id, job_id, now))
        self._woken(done.woken)
        return done.cancelled

    def retry(self, org_id: OrgId, job_id: str, *, session: ClientSession | None = None) -> JobRecord:
        """Start a fresh run of a failed or cancelled job; its checkpoint stays.

        Raises `NotFound`, or `Conflict` if it has neither failed nor been cancelled.
        """
        if session is None:
            return self._control.transaction(lambda own: self.retry(org_id, job_id, session=own))
        record = self._update(
            {
                "_id": job_id,
                "org_id": org_id,
                "state": {"$in": ["failed", "cancelled"]},
                "cancelling_children": {"$ne": True},
            },
            {
                "$set": {"state": "queued", "attempt": 0, "losses": 0, "cancel_requested": False},
                "$inc": {"run": 1},
                "$unset": dict.fromkeys(("error", "finished_at", "expires_at", "run_at", "waiting_for"), ""),
            },
            session=session,
        )
        if record is None:
            raise self._not_retried(self.get(org_id, job_id))
        if record.parent_id is not None:
            self.children.reopen(session, Closed(org_id, record.parent_id, record.id))
        return record

    # What a worker does.

    def claim(self, member: Member, worker: str) -> Claimed | None:
        """Take the job for this worker, or return `None`: somebody has it, or it has ended.

        One round trip that waits for no other server, so the claim number is not to be used before `confirm`.
        """
        token = new_id()
        document = self._soon.find_one_and_update(
            {"_id": member.job_id, "org_id": member.org_id, "state": "queued"},
            [
                {
                    "$set": {
                        "state": "running",
                        "claims": {"$add": ["$claims", 1]},
                        "started_at": {"$ifNull": ["$started_at", "$$NOW"]},
                        "lease": {
                            "worker": {"$literal": worker},
                            "token": {"$literal": token},
                            "expires_at": self._lease_end(),
                        },
                    }
                },
                {"$unset": ["waiting_for", "run_at"]},
            ],
            projection=_CLAIMED_FIELDS,
            return_document=ReturnDocument.AFTER,
        )
        return _read_claimed(document, token) if document is not None else None

    def confirm(self, claimed: Claimed) -> bool:
        """Wait until a majority has this claim; `False` if it was rolled back, or lost since.

        A claim that a failover rolls back gives its number to the next one too, so nothing may be written under
        it before. The update changes nothing, and waits for all that came before it.
        """
        same = {"$set": {"lease.token": claimed.token}}
        return self._jobs.update_one(_lease_of(claimed), same).matched_count == 1

    def make_children(
        self, session: ClientSession, claimed: Claimed, step: str, documents: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Insert *documents* as children of a running job. Returns and raises like `Children.make`."""
        return self.children.make(session, _lease_of(claimed), step, documents)

    def renew(self, held: Sequence[Held]) -> None:
        """Renew these leases; those that were lost stay lost (`news` tells)."""
        if held:
            self._jobs.update_many(_mine(held), [{"$set": {"lease.expires_at": self._lease_end()}}])

    def news(self, held: Sequence[Held]) -> LeaseNews:
        """Look which of these leases were lost, and whose jobs are to be cancelled; both by token. One read."""
        if not held:
            return LeaseNews()
        # From the primary as it stands: a majority may not have the newest claims yet.
        mine = {one["lease"]["token"]: one for one in self._soon.find(_mine(held), _NEWS_FIELDS)}
        return LeaseNews(
            lost=frozenset(one.token for one in held if one.token not in mine),
            cancelled=frozenset(token for token, one in mine.items() if one.get("cancel_requested")),
        )

    def note_progress(self, claimed: Claimed, progress: Mapping[str, Any], *, advanced: bool) -> bool:
        """Show *progress* in the record; a checkpoint that *advanced* clears the losses. Tell if the lease holds.

        For showing only, so one server's word is enough.
        """
        fields = {f"progress.{name}": value for name, value in progress.items() if name != "done"}
        if advanced:
            fields["losses"] = 0
        update: dict[str, Any] = {"$max": {"progress.done": progress["done"]}}
        if fields:
            update["$set"] = fields
        return self._soon.update_one(_lease_of(claimed), update).matched_count == 1

    def succeed(self, claimed: Claimed, result: Any) -> bool:
        """Finish with *result*; `False` if the lease was lost, and then nothing is written."""
        return self._end(claimed, "succeeded", {"result": result})

    def succeed_many(self, ended: Sequence[tuple[Claimed, Any]]) -> frozenset[str]:
        """Finish several jobs in one commit, each only if its lease holds; return the tokens of those that did."""
        if any(claimed.parent_id for claimed, _ in ended):
            return self._succeed_with_parents(ended)
        if self._jobs.bulk_write(self._successes(ended), ordered=False).matched_count == len(ended):
            return frozenset(claimed.token for claimed, _ in ended)
        return self._succeeded_among([claimed for claimed, _ in ended])

    def fail(self, claimed: Claimed, problem: Mapping[str, Any], *, charged: bool) -> bool:
        """Finish with *problem*; `False` if the lease was lost. *charged*: the attempt counts."""
        return self._end(claimed, "failed", {"error": problem}, problem=problem, charged=charged)

    def finish_cancelled(self, claimed: Claimed) -> bool:
        """Finish a job that was asked to stop; `False` if the lease was lost."""
        return self._end(claimed, "cancelled", {})

    def wait(
        self,
        claimed: Claimed,
        *,
        reason: str,
        delay_s: float,
        problem: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put the job aside for *delay_s*; a *problem* makes it a failed attempt. `False`: the lease was lost."""
        until = self._clock.now() + timedelta(seconds=delay_s)
        fields = {"state": "waiting", "run_at": until, "waiting_for": {"reason": reason, "until": until}}
        return self._leave(claimed, fields, problem=problem, charged=problem is not None)

    def wait_for_children(self, claimed: Claimed) -> State | None:
        """Put the job aside until its children have ended; return its state: waiting, or queued if none is open.

        `None`: the lease was lost.
        """
        record = self._update(_lease_of(claimed), WAITING)
        return record.state if record is not None else None

    def give_back(self, claimed: Claimed | Held) -> bool:
        """Queue the job again for another worker, charging nothing. `False`: the lease was lost."""
        return self._leave(claimed, {"state": "queued"})

    # What the healers do.

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
            {"$set": {"state": "queued"}, "$unset": {"waiting_for": "", "run_at": ""}},
        )
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
        query = _lease_of(held) | ({"$expr": _OVER} if expired_only else {})
        update = {"$inc": {"losses": 1}, "$unset": {"lease": ""}, "$set": {"state": "queued"}}
        if problem is not None:
            now = self._clock.now()
            update["$set"] = {"state": "failed", "error": problem, "finished_at": now, **_expiry("failed", now)}
            update["$push"] = _pushed(problem)
            return self._finish(query, update, self._parent_of(held))
        return self._jobs.update_one(query, update).matched_count == 1

    def unfinished(self, state: str, after: str, limit: int) -> list[dict[str, Any]]:
        """List up to *limit* jobs in *state* (queued or waiting) by id, from *after* on."""
        query = {"state": state, "_id": {"$gt": after}}
        fields = dict.fromkeys((*ENTRY_FIELDS, "run_at"), 1)
        return list(self._jobs.find(query, fields).hint("unfinished").sort("_id", ASCENDING).limit(limit))

    def _successes(self, ended: Sequence[tuple[Claimed, Any]]) -> list[UpdateOne]:
        now = self._clock.now()
        fields = {"state": "succeeded", "finished_at": now, **_expiry("succeeded", now)}
        return [
            UpdateOne(_lease_of(claimed), {"$set": {**fields, "result": result}, "$unset": {"lease": ""}})
            for claimed, result in ended
        ]

    def _succeed_with_parents(self, ended: Sequence[tuple[Claimed, Any]]) -> frozenset[str]:
        updates, now = self._successes(ended), self._clock.now()

        def work(session: ClientSession) -> tuple[frozenset[str], list[Entry]]:
            self._jobs.bulk_write(updates, ordered=False, session=session)
            written = self._succeeded_among([claimed for claimed, _ in ended], session)
            closed = [
                Closed(one.org_id, one.parent_id, one.job_id)
                for one, _ in ended
                if one.parent_id is not None and one.token in written
            ]
            return written, self.children.close(session, closed, now) if closed else []

        written, woken = self._control.transaction(work)
        self._woken(woken)
        return written

    def _succeeded_among(self, ended: Sequence[Claimed], session: ClientSession | None = None) -> frozenset[str]:
        claims = {
            (one["_id"], one["claims"])
            for one in self._jobs.find(
                {
                    "_id": {"$in": [claimed.job_id for claimed in ended]},
                    "org_id": {"$in": list({claimed.org_id for claimed in ended})},
                    "state": "succeeded",
                },
                {"claims": 1},
                session=session,
            )
        }
        return frozenset(one.token for one in ended if (one.job_id, one.claim) in claims)

    def _finish(
        self,
        query: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        parent_id: JobId | None,
    ) -> bool:
        """Write the end of one job; a child's is counted by its parent in the same transaction."""
        if parent_id is None:
            return self._jobs.update_one(query, update).matched_count == 1
        closed, now = Closed(query["org_id"], parent_id, query["_id"]), self._clock.now()

        def work(session: ClientSession) -> tuple[bool, list[Entry]]:
            if not self._jobs.update_one(query, update, session=session).matched_count:
                return False, []
            return True, self.children.close(session, [closed], now)

        written, woken = self._control.transaction(work)
        self._woken(woken)
        return written

    def _parent_of(self, held: Held) -> JobId | None:
        found = self._jobs.find_one({"_id": held.job_id, "org_id": held.org_id}, {"parent_id": 1}) or {}
        return found.get("parent_id")

    def _not_retried(self, record: JobRecord) -> Conflict:
        if record.state in {"failed", "cancelled"}:
            return Conflict("The job's children are still being cancelled. Try again in a moment.")
        return Conflict(f"Only a failed or cancelled job can be retried; this one is {record.state}.")

    def _queued(self, query: Mapping[str, Any]) -> list[Entry]:
        return [
            entry_of(one) for one in self._jobs.find({**query, "state": "queued"}, dict.fromkeys(ENTRY_FIELDS, 1))
        ]

    def _end(
        self,
        claimed: Claimed,
        state: str,
        fields: Mapping[str, Any],
        *,
        problem: Mapping[str, Any] | None = None,
        charged: bool = False,
    ) -> bool:
        now = self._clock.now()
        ending = {"state": state, "finished_at": now, **_expiry(state, now), **fields}
        update = _leaving(ending, problem=problem, charged=charged)
        return self._finish(_lease_of(claimed), update, claimed.parent_id)

    def _leave(
        self,
        claimed: Claimed | Held,
        fields: Mapping[str, Any],
        *,
        problem: Mapping[str, Any] | None = None,
        charged: bool = False,
    ) -> bool:
        update = _leaving(fields, problem=problem, charged=charged)
        return self._jobs.update_one(_lease_of(claimed), update).matched_count == 1

    def _update(
        self,
        query: Mapping[str, Any],
        update: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        session: ClientSession | None = None,
    ) -> JobRecord | None:
        document = self._jobs.find_one_and_update(
            query, update, return_document=ReturnDocument.AFTER, session=session
        )
        return read_document(document) if document is not None else None

    def _lease_end(self) -> Mapping[str, Any]:
        return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": self._lease_ms}}

    def _soonish(self) -> datetime:
        # Redis's clock said that the time has come; this one may be a little behind it.
        return self._clock.now() + timedelta(seconds=1)


_OVER = {"$lt": ["$lease.expires_at", "$$NOW"]}
_CLAIMED_FIELDS = dict.fromkeys(
    (
        *("org_id", "kind", "queue", "payload", "priority", "run", "claims", "attempt", "max_attempts", "losses"),
        *("parent_id", "submitted_by", "request_id"),
    ),
    1,
)
_NEWS_FIELDS = {"lease.token": 1, "cancel_requested": 1}
_EXPIRED_FIELDS = dict.fromkeys((*ENTRY_FIELDS, "losses", "lease.token"), 1)


def _read_claimed(document: Mapping[str, Any], token: str) -> Claimed:
    return Claimed(
        org_id=document["org_id"],
        job_id=document["_id"],
        kind=document["kind"],
        queue=entry_of(document).queue,
        payload=document["payload"],
        priority=document["priority"],
        run=document["run"],
        claim=document["claims"],
        attempt=document["attempt"],
        max_attempts=document["max_attempts"],
        losses=document["losses"],
        parent_id=document.get("parent_id"),
        submitted_by=document["submitted_by"],
        request_id=document["request_id"],
        token=token,
    )


def _leaving(fields: Mapping[str, Any], *, problem: Mapping[str, Any] | None, charged: bool) -> dict[str, Any]:
    update: dict[str, Any] = {"$set": dict(fields), "$unset": {"lease": ""}}
    if problem is not None:
        update["$push"] = _pushed(problem)
    if charged:
        update["$inc"] = {"attempt": 1}
    return update


def _lease_of(claimed: Claimed | Held) -> dict[str, Any]:
    return {
        "_id": claimed.job_id,
        "org_id": claimed.org_id,
        "state": "running",
        "lease.token": claimed.token,
    }


def _mine(held: Sequence[Held]) -> dict[str, Any]:
    return {
        "_id": {"$in": [one.job_id for one in held]},
        "org_id": {"$in": list({one.org_id for one in held})},
        "state": "running",
        "lease.token": {"$in": [one.token for one in held]},
    }


def _expiry(state: str, now: datetime) -> dict[str, datetime]:
    return {"expires_at": now + KEPT_FOR[state]}


def _pushed(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {"errors": {"$each": [problem], "$slice": -ERRORS_KEPT}}
