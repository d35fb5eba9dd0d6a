"""A job's record: what MongoDB keeps of it, and the frozen value that the rest of the code reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from common.caller import Caller
from common.ids import JobId, OrgId
from common.jobs.kind import KINDS, Job, encode, queue_of
from common.jobs.members import Entry, Member

State = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")
FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

RESULT_MAX_BYTES = 256 * 1024
CHECKPOINT_MAX_BYTES = 64 * 1024
ERRORS_KEPT = 10
ENTRY_FIELDS = ("org_id", "kind", "queue", "priority", "losses")
TAGS_MAX = 20
ALONE_UNDER_S = 1.0
TAG_MAX_CHARS = 64

KEPT_FOR: Mapping[str, timedelta] = {
    "succeeded": timedelta(days=30),
    "cancelled": timedelta(days=30),
    "failed": timedelta(days=90),
}
"""How long a finished job stays readable; afterwards it is absent like one that never was."""


@dataclass(frozen=True)
class Progress:
    """How far a job is: *done* of *total* units (`None`: not known yet) in the named stage."""

    done: int = 0
    total: int | None = None
    stage: str | None = None

    @property
    def percent(self) -> float | None:
        """Return the share that is done in percent, one decimal, or `None` while the total is unknown."""
        if not self.total:
            return None
        return round(min(100.0, 100 * self.done / self.total), 1)


@dataclass(frozen=True)
class JobRecord:
    """A job as its record tells it; instants are aware, in UTC."""

    id: JobId
    org_id: OrgId
    kind: str
    queue: str
    payload: Mapping[str, Any]
    state: State
    priority: int
    run: int
    claims: int
    attempt: int
    max_attempts: int
    losses: int
    progress: Progress
    waiting_for: Mapping[str, Any] | None
    result: Any
    error: Mapping[str, Any] | None
    errors: Sequence[Mapping[str, Any]]
    parent_id: JobId | None
    open_children: int
    submitted_by: str
    request_id: str
    tags: Sequence[str]
    cancel_requested: bool
    created_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def entry(self) -> Entry:
        """Return where the job stands in the lanes."""
        return Entry(
            self.queue, Member(self.org_id, self.id, self.kind), self.priority, rides_alone(self.kind, self.losses)
        )

    @property
    def is_final(self) -> bool:
        """Tell whether the job has ended; only an explicit retry changes it then."""
        return self.state in FINAL


def entry_of(document: Mapping[str, Any]) -> Entry:
    """Return where the job of *document* (org_id, kind, queue, priority, losses) stands.

    The record names its queue, so that a version that does not know the kind can put the job into its lane.
    """
    kind = document["kind"]
    member = Member(org_id=document["org_id"], job_id=document["_id"], kind=kind)
    return Entry(queue_in(document), member, document["priority"], rides_alone(kind, document.get("losses", 0)))


def queue_in(document: Mapping[str, Any]) -> str:
    """Return the queue that the record names, or its kind's; nothing for a kind of before that is unknown here."""
    return document.get("queue") or queue_of(document["kind"]) or ""


def rides_alone(kind: str, losses: int) -> bool:
    """Tell whether such a job shares its process with no other: it had a loss, or its kind is soon killed."""
    known = KINDS.get(kind)
    return losses > 0 or (known is not None and known.terms.time_limit_s < ALONE_UNDER_S)


def new_document(
    caller: Caller,
    job: Job,
    *,
    org_id: OrgId,
    job_id: JobId,
    now: datetime,
    run_at: datetime | None,
    priority: int | None,
    tags: Sequence[str],
    parent_id: JobId | None = None,
) -> dict[str, Any]:
    """Return the document of a fresh job. Raises `ValueError` if its payload is too large or not of its types."""
    waits = run_at is not None and run_at > now
    document: dict[str, Any] = {
        "_id": job_id,
        "org_id": org_id,
        "kind": job.name,
        "queue": job.terms.queue,
        "payload": encode(job),
        "state": "waiting" if waits else "queued",
        "priority": job.terms.priority if priority is None else priority,
        "run": 1,
        "claims": 0,
        "attempt": 0,
        "max_attempts": job.terms.max_attempts,
        "losses": 0,
        "submitted_by": caller.user_id,
        "request_id": caller.request_id,
        "created_at": now,
    }
    if parent_id is not None:
        document["parent_id"] = parent_id
    if caller.traceparent is not None:
        document["traceparent"] = caller.traceparent
    if tags:
        document["tags"] = list(tags)
    if run_at is not None:
        document["run_at"] = run_at
    if waits:
        document["waiting_for"] = {"reason": "run_at", "until": run_at}
    return document


def read_document(document: Mapping[str, Any]) -> JobRecord:
    """Read MongoDB's *document*; a field that was never written has its empty value."""
    get = document.get
    return JobRecord(
        id=document["_id"],
        org_id=document["org_id"],
        kind=document["kind"],
        queue=queue_in(document),
        payload=get("payload", {}),
        state=document["state"],
        priority=document["priority"],
        run=document["run"],
        claims=document["claims"],
        attempt=document["attempt"],
        max_attempts=document["max_attempts"],
        losses=document["losses"],
        progress=Progress(**get("progress", {})),
        waiting_for=get("waiting_for"),
        result=get("result"),
        error=get("error"),
        errors=tuple(get("errors", ())),
        parent_id=get("parent_id"),
        open_children=get("open_children", 0),
        submitted_by=document["submitted_by"],
        request_id=document["request_id"],
        tags=tuple(get("tags", ())),
        cancel_requested=bool(get("cancel_requested", False)),
        created_at=document["created_at"],
        run_at=get("run_at"),
        started_at=get("started_at"),
        finished_at=get("finished_at"),
    )
