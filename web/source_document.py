"""A source and a run's log as the API shows them: their shapes for the document, and what makes them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import marshmallow as ma
import orjson

from common.clock import rfc3339
from common.connectors.known import CONNECTORS
from common.sources.draft import PER_S_MAX
from common.sources.logs import COUNTED, STATUSES, IngestionLog
from common.sources.running import MODES
from common.sources.source import Source
from common.sources.standing import Standing
from web.contract.shapes import Shape, instant, links, page_of


class RateLimitSchema(ma.Schema):
    """So many calls in any so many seconds."""

    limit = ma.fields.Integer(
        required=True, strict=True, validate=ma.validate.Range(1, PER_S_MAX), metadata={"example": 30}
    )
    per_s = ma.fields.Integer(
        required=True,
        strict=True,
        validate=ma.validate.Range(1, PER_S_MAX),
        metadata={"description": "seconds, at least as many as calls", "example": 60},
    )


class RunSchema(Shape):
    """A run of a source, in short."""

    job_id = ma.fields.String()
    mode = ma.fields.String(validate=ma.validate.OneOf(MODES))
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    started_at = instant()
    ended_at = instant(allow_none=True)


class SourceSchema(Shape):
    """A source. What it has of credentials is never shown."""

    id = ma.fields.String()
    name = ma.fields.String()
    connector = ma.fields.String(metadata={"description": f"one of {', '.join(CONNECTORS)}"})
    base_url = ma.fields.String()
    page_size = ma.fields.Integer(metadata={"description": "records on a page"})
    rate_limit = ma.fields.Nested(
        RateLimitSchema, allow_none=True, metadata={"description": "its own, below what its host is asked at most"}
    )
    every_minutes = ma.fields.Integer(allow_none=True, metadata={"description": "null: by hand only"})
    config = ma.fields.Dict(metadata={"description": "what its connector has to be told"})
    has_credentials = ma.fields.Boolean()
    credential_fields = ma.fields.List(ma.fields.String(), metadata={"description": "which of them are set"})
    created_by = ma.fields.String(metadata={"description": "a person's id, or key: and an API key's"})
    created_at = instant()
    updated_at = instant()
    running_job = ma.fields.String(allow_none=True, metadata={"description": "where the run is that goes on"})
    last_run = ma.fields.Nested(
        RunSchema, allow_none=True, metadata={"description": "the last one that has ended"}
    )
    next_run_at = instant(allow_none=True)
    links = links()


class IngestionLogSchema(Shape):
    """The log of a run: records by what became of them, and how it ended."""

    job_id = ma.fields.String()
    source_id = ma.fields.String()
    mode = ma.fields.String(validate=ma.validate.OneOf(MODES))
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    new = ma.fields.Integer()
    updated = ma.fields.Integer()
    unchanged = ma.fields.Integer()
    repeated = ma.fields.Integer(metadata={"description": "came more than once in a page"})
    returned = ma.fields.Integer(metadata={"description": "had disappeared, and are there again"})
    deleted = ma.fields.Integer(metadata={"description": "tickets whose records are gone"})
    errors = ma.fields.Integer(metadata={"description": "records that were set aside; see `links.refused`"})
    pages = ma.fields.Integer()
    waits = ma.fields.Integer(metadata={"description": "how often it gave its worker back, to go on later"})
    started_at = instant()
    ended_at = instant(allow_none=True)
    error = ma.fields.Dict(allow_none=True, metadata={"description": "`{code, detail}` of a run that failed"})
    shape_changes = ma.fields.List(
        ma.fields.Dict(),
        metadata={
            "description": "`{field, change, types}`: a field is `new`, of other types (`widened`) or `missing`"
        },
    )
    kept_because = ma.fields.String(
        allow_none=True, metadata={"description": "why a full run that succeeded deleted nothing; null: it could"}
    )
    links = links()


SourcePage = page_of(SourceSchema, "SourcePage")
IngestionLogPage = page_of(IngestionLogSchema, "IngestionLogPage")

_SOURCE = "01920f3c-8a4e-7b2f-8c1d-00000000001a"
_JOB = "01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a"
LOG_EXAMPLE: dict[str, Any] = {
    "job_id": _JOB,
    "source_id": _SOURCE,
    "mode": "incremental",
    "status": "succeeded",
    "new": 12,
    "updated": 3,
    "unchanged": 85,
    "repeated": 0,
    "returned": 0,
    "deleted": 0,
    "errors": 1,
    "pages": 2,
    "waits": 1,
    "started_at": "2026-01-31T09:30:00.000Z",
    "ended_at": "2026-01-31T09:30:04.000Z",
    "error": None,
    "shape_changes": [{"field": "priority", "change": "new", "types": ["text"]}],
    "kept_because": None,
    "links": {"job": f"/v1/jobs/{_JOB}", "refused": f"/v1/ingestion-logs/{_JOB}/refused-records"},
}
SOURCE_EXAMPLE: dict[str, Any] = {
    "id": _SOURCE,
    "name": "Issues of our website",
    "connector": "github_issues",
    "base_url": "https://api.github.com/repos/acme/website",
    "page_size": 100,
    "rate_limit": {"limit": 30, "per_s": 60},
    "every_minutes": 60,
    "config": {},
    "has_credentials": True,
    "credential_fields": ["token"],
    "created_by": "01920f3c-8a4e-7b2f-8c1d-000000000001",
    "created_at": "2026-01-31T08:30:00.000Z",
    "updated_at": "2026-01-31T08:30:00.000Z",
    "running_job": None,
    "last_run": {name: LOG_EXAMPLE[name] for name in ("job_id", "mode", "status", "started_at", "ended_at")},
    "next_run_at": "2026-01-31T10:30:00.000Z",
    "links": {
        "self": f"/v1/sources/{_SOURCE}",
        "ingestions": f"/v1/sources/{_SOURCE}/ingestions",
        "logs": f"/v1/ingestion-logs?source_id={_SOURCE}",
    },
}


def shown_source(standing: Standing) -> dict[str, Any]:
    """Return a source as the API shows it."""
    source, here = standing.source, f"/v1/sources/{standing.source.source_id}"
    running, last, next_run_at = standing.running_job_id, standing.last_run, standing.next_run_at
    return {
        **_asked(source),
        "has_credentials": bool(standing.credential_fields),
        "credential_fields": list(standing.credential_fields),
        "created_by": source.created_by,
        "created_at": rfc3339(source.created_at),
        "updated_at": rfc3339(source.updated_at),
        "running_job": f"/v1/jobs/{running}" if running is not None else None,
        "last_run": _in_short(last) if last is not None else None,
        "next_run_at": rfc3339(next_run_at) if next_run_at is not None else None,
        "links": {
            "self": here,
            "ingestions": f"{here}/ingestions",
            "logs": f"/v1/ingestion-logs?source_id={source.source_id}",
        },
    }


def etag_of(source: Source, body: Mapping[str, Any]) -> str:
    """Return what changes with all that is shown of a source; it begins with the version and a dot."""
    return f"{source.version}.{hashlib.sha256(orjson.dumps(body)).hexdigest()[:16]}"


def shown_log(log: IngestionLog) -> dict[str, Any]:
    """Return a run's log as the API shows it."""
    here = f"/v1/ingestion-logs/{log.job_id}"
    return {
        **_in_short(log),
        "source_id": log.source_id,
        **{name: log.counts[name] for name in COUNTED},
        "error": dict(log.error) if log.error is not None else None,
        "shape_changes": [dict(one) for one in log.shape_changes],
        "kept_because": log.kept_because,
        "links": {"job": f"/v1/jobs/{log.job_id}", "refused": f"{here}/refused-records"},
    }


def _asked(source: Source) -> dict[str, Any]:
    rate = source.rate
    return {
        "id": source.source_id,
        "name": source.name,
        "connector": source.connector,
        "base_url": source.base_url,
        "page_size": source.page_size,
        "rate_limit": {"limit": rate.limit, "per_s": rate.per_s} if rate is not None else None,
        "every_minutes": source.every_minutes,
        "config": dict(source.config),
    }


def _in_short(log: IngestionLog) -> dict[str, Any]:
    return {
        "job_id": log.job_id,
        "mode": log.mode,
        "status": log.status,
        "started_at": rfc3339(log.started_at),
        "ended_at": rfc3339(log.ended_at) if log.ended_at is not None else None,
    }
