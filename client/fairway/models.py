"""What the API shows, as frozen values; fields that this version does not know are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

State = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Model:
    """A thing that the API shows."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read the API's *document*. Raises `KeyError` if it lacks a field."""
        return cls(**{field.name: document[field.name] for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Progress(Model):
    """How far a job is: *done* of *total* units (`None`: not known yet)."""

    done: int
    total: int | None
    stage: str | None
    percent: float | None


@dataclass(frozen=True, kw_only=True)
class Job(Model):
    """A job; instants are RFC 3339 in UTC, as the API gives them."""

    id: str
    kind: str
    state: State
    waiting_for: Mapping[str, Any] | None
    priority: int
    tags: Sequence[str]
    progress: Progress
    run: int
    attempt: int
    max_attempts: int
    losses: int
    created_at: str
    run_at: str | None
    started_at: str | None
    finished_at: str | None
    result: Any
    error: Mapping[str, Any] | None
    errors: Sequence[Mapping[str, Any]]
    parent_id: str | None
    request_id: str
    cancel_requested: bool
    links: Mapping[str, str]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read the API's *document*."""
        return super().read({**document, "progress": Progress.read(document["progress"])})

    @property
    def is_final(self) -> bool:
        """Tell whether the job has ended."""
        return self.state in FINAL


@dataclass(frozen=True, kw_only=True)
class SignedUp:
    """The job that makes an organization, and the token that reads it (`None` for an operator)."""

    job: Job
    job_token: str | None


@dataclass(frozen=True, kw_only=True)
class Counted(Model):
    """How many jobs a filter finds; *more* if not all were counted."""

    count: int
    more: bool


@dataclass(frozen=True, kw_only=True)
class Kind(Model):
    """A kind of job that the caller may submit."""

    kind: str
    description: str
    queue: str
    priority: int
    time_limit_s: float
    max_attempts: int
    payload_schema: Mapping[str, Any]
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RefusedRow(Model):
    """A row of a file that was not imported, and why."""

    line: int
    column: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ticket(Model):
    """A ticket."""

    id: str
    source_id: str
    external_id: str | None
    customer_id: str | None
    channel: str | None
    subject: str | None
    message: str
    status: str
    tags: Sequence[str]
    attributes: Mapping[str, Any]
    urgency: str | None
    sentiment: str | None
    requires_action: bool | None
    classifier: str | None
    overridden: Sequence[str]
    created_at: str
    updated_at: str
    deleted_at: str | None
    expires_at: str | None
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TicketChange(Model):
    """A change of a ticket: *changes* is field to what it was (`old`) and is (`new`)."""

    action: str
    changes: Mapping[str, Mapping[str, Any]]
    recorded_at: str
    job_id: str | None
    actor_id: str | None


@dataclass(frozen=True, kw_only=True)
class Tokens(Model):
    """A session: *expires_in* is how many seconds the access token lasts."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


@dataclass(frozen=True, kw_only=True)
class Session(Model):
    """A session of one's own."""

    id: str
    is_current: bool
    created_at: str
    refreshed_at: str | None
    expires_at: str


@dataclass(frozen=True, kw_only=True)
class User(Model):
    """A person of the organization."""

    id: str
    email: str
    name: str
    role: str
    state: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class OneTime(Model):
    """A token that sets one password."""

    token: str
    expires_at: str


@dataclass(frozen=True, kw_only=True)
class ApiKey(Model):
    """The credential of a machine, without its secret."""

    id: str
    name: str
    role: str
    scopes: Sequence[str]
    created_by: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None


@dataclass(frozen=True, kw_only=True)
class Happening(Model):
    """What happened to the organization; *number* counts without a gap."""

    number: int
    type: str
    at: str
    actor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Organization(Model):
    """An organization; what only its own people see is `None` for others."""

    id: str
    name: str
    slug: str
    tier: str | None
    isolation: str | None
    state: str | None
    settings: Mapping[str, Any] | None
    created_at: str | None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read the API's *document*."""
        known: dict[str, Any] = {field.name: document.get(field.name) for field in fields(cls)}
        return cls(**known)


@dataclass(frozen=True, kw_only=True)
class Archive(Model):
    """All that an organization had at a time, in one file."""

    id: str
    size_bytes: int
    sha256: str
    documents: int
    created_at: str
    links: Mapping[str, str]
