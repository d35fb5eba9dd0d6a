"""Claims and leases: what a worker holds of a job, and the filter that proves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common.ids import JobId, OrgId
from common.jobs.members import Entry, Member
from common.jobs.record import entry_of, rides_alone


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
    created_at: datetime
    ready_at: datetime
    token: str
    traceparent: str | None = None

    @property
    def member(self) -> Member:
        """Return the job's name in the lanes."""
        return Member(org_id=self.org_id, job_id=self.job_id, kind=self.kind)

    @property
    def entry(self) -> Entry:
        """Return where the job stands when it is queued again."""
        return Entry(self.queue, self.member, self.priority, rides_alone(self.kind, self.losses))


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
    asked_back: frozenset[str] = field(default_factory=frozenset)


CLAIMED_FIELDS = dict.fromkeys(
    (
        *("org_id", "kind", "queue", "payload", "priority", "run", "claims", "attempt", "max_attempts", "losses"),
        *("parent_id", "submitted_by", "request_id", "traceparent", "created_at", "queued_at"),
    ),
    1,
)


def read_claimed(document: Mapping[str, Any], token: str) -> Claimed:
    """Read the fields `CLAIMED_FIELDS` of a record that was just claimed under *token*."""
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
        created_at=document["created_at"],
        ready_at=document.get("queued_at") or document["created_at"],
        token=token,
        traceparent=document.get("traceparent"),
    )


def lease_of(claimed: Claimed | Held) -> dict[str, Any]:
    """Return the filter that finds the job only while this lease of it holds."""
    return {
        "_id": claimed.job_id,
        "org_id": claimed.org_id,
        "state": "running",
        "lease.token": claimed.token,
    }


def any_lease_of(held: Sequence[Claimed | Held]) -> dict[str, Any]:
    """Return the filter that finds those jobs whose lease is among *held*."""
    return {
        "_id": {"$in": [one.job_id for one in held]},
        "org_id": {"$in": list({one.org_id for one in held})},
        "state": "running",
        "lease.token": {"$in": [one.token for one in held]},
    }
