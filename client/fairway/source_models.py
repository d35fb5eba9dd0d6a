"""What the API shows of sources and their runs, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from fairway.models import Model

Mode = Literal["incremental", "full"]
RunStatus = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class SourceRun(Model):
    """A run of a source, in short."""

    job_id: str
    mode: Mode
    status: RunStatus
    started_at: str
    ended_at: str | None


@dataclass(frozen=True, kw_only=True)
class Source(Model):
    """An outside API that tickets are ingested from; of its credentials only the names are shown."""

    id: str
    name: str
    connector: str
    base_url: str
    page_size: int
    rate_limit: Mapping[str, int] | None
    every_minutes: int | None
    config: Mapping[str, Any]
    has_credentials: bool
    credential_fields: Sequence[str]
    created_by: str
    created_at: str
    updated_at: str
    running_job: str | None
    last_run: SourceRun | None
    next_run_at: str | None
    links: Mapping[str, str]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read the API's *document*."""
        last = document["last_run"]
        return super().read({**document, "last_run": SourceRun.read(last) if last is not None else None})


@dataclass(frozen=True, kw_only=True)
class IngestionLog(Model):
    """What a run of a source found, and how it ended."""

    job_id: str
    source_id: str
    mode: Mode
    status: RunStatus
    new: int
    updated: int
    unchanged: int
    repeated: int
    returned: int
    deleted: int
    errors: int
    pages: int
    waits: int
    started_at: str
    ended_at: str | None
    error: Mapping[str, Any] | None
    shape_changes: Sequence[Mapping[str, Any]]
    kept_because: str | None
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RefusedRecord(Model):
    """A record that a run set aside, and why; *line* is its place among all that came."""

    line: int
    column: str | None
    reason: str
    external_id: str | None
    page: int | None
