"""A job as the API shows it: its shape for the document, and the function that makes it."""

from datetime import datetime
from typing import Any

import marshmallow as ma

from common.clock import rfc3339
from common.jobs.lanes import Standing
from common.jobs.record import STATES, JobRecord, Progress
from web.contract.shapes import Shape, instant, links, page_of

RETRY_AFTER_S = 1


class ProgressSchema(Shape):
    """How far a job is."""

    done = ma.fields.Integer()
    total = ma.fields.Integer(allow_none=True)
    stage = ma.fields.String(allow_none=True)
    percent = ma.fields.Float(allow_none=True)


class JobSchema(Shape):
    """A job."""

    id = ma.fields.String()
    kind = ma.fields.String(metadata={"description": "what is done: `family.verb_object`"})
    state = ma.fields.String(validate=ma.validate.OneOf(STATES))
    waiting_for = ma.fields.Dict(
        allow_none=True,
        metadata={
            "description": "`{reason, until, ahead}` while it is queued or waits; `ahead` counts the jobs of its"
            " own organization that stand before it; for children also `open`"
        },
    )
    priority = ma.fields.Integer(metadata={"description": "0 to 9; a higher one goes first"})
    tags = ma.fields.List(ma.fields.String())
    progress = ma.fields.Nested(ProgressSchema)
    run = ma.fields.Integer(metadata={"description": "1, and one more with each explicit retry"})
    attempt = ma.fields.Integer(metadata={"description": "failed attempts of this run"})
    max_attempts = ma.fields.Integer()
    losses = ma.fields.Integer(metadata={"description": "workers that died while they ran it"})
    created_at = instant()
    run_at = instant(allow_none=True)
    started_at = instant(allow_none=True)
    finished_at = instant(allow_none=True)
    result = ma.fields.Raw(allow_none=True, metadata={"description": "what came of it, by kind"})
    error = ma.fields.Dict(
        allow_none=True, metadata={"description": "`{code, detail, attempt, at}` of a failed job"}
    )
    errors = ma.fields.List(ma.fields.Dict(), metadata={"description": "the last ten"})
    parent_id = ma.fields.String(allow_none=True)
    request_id = ma.fields.String()
    cancel_requested = ma.fields.Boolean()
    links = links()


JobPage = page_of(JobSchema, "JobPage")

EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a",
    "kind": "family.verb_object",
    "state": "running",
    "waiting_for": None,
    "priority": 5,
    "tags": [],
    "progress": {"done": 2500, "total": 10000, "stage": "reading", "percent": 25.0},
    "run": 1,
    "attempt": 0,
    "max_attempts": 5,
    "losses": 0,
    "created_at": "2026-01-31T09:30:00.000Z",
    "run_at": None,
    "started_at": "2026-01-31T09:30:00.120Z",
    "finished_at": None,
    "result": None,
    "error": None,
    "errors": [],
    "parent_id": None,
    "request_id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "cancel_requested": False,
    "links": {
        "self": "/v1/jobs/01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a",
        "events": "/v1/jobs/01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a/events",
        "cancel": "/v1/jobs/01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a/cancel",
    },
}
ACCEPTED_EXAMPLE: dict[str, Any] = EXAMPLE | {
    "state": "queued",
    "waiting_for": {"reason": "slot", "until": None, "ahead": 0},
    "progress": {"done": 0, "total": None, "stage": None, "percent": None},
    "started_at": None,
}
"""A job that was accepted a moment ago."""


def dump(record: JobRecord, standing: Standing | None = None) -> dict[str, Any]:
    """Return *record* as the API shows a job; *standing* tells why a queued one does not run yet."""
    here = f"/v1/jobs/{record.id}"
    return {
        "id": record.id,
        "kind": record.kind,
        "state": record.state,
        "waiting_for": _waiting_for(record, standing),
        "priority": record.priority,
        "tags": list(record.tags),
        "progress": progress_document(record.progress),
        "run": record.run,
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "losses": record.losses,
        "created_at": rfc3339(record.created_at),
        "run_at": _instant(record.run_at),
        "started_at": _instant(record.started_at),
        "finished_at": _instant(record.finished_at),
        "result": record.result,
        "error": _error(record.error),
        "errors": [_error(one) for one in record.errors],
        "parent_id": record.parent_id,
        "request_id": record.request_id,
        "cancel_requested": record.cancel_requested,
        "links": {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"},
    }


def progress_document(progress: Progress) -> dict[str, Any]:
    """Return *progress* as the API shows it."""
    return {
        "done": progress.done,
        "total": progress.total,
        "stage": progress.stage,
        "percent": progress.percent,
    }


def accepted_headers(record: JobRecord) -> dict[str, str]:
    """Return the headers of a 202: where the job is, and when to look."""
    return {"Location": f"/v1/jobs/{record.id}", "Retry-After": str(RETRY_AFTER_S)}


def _waiting_for(record: JobRecord, standing: Standing | None) -> dict[str, Any] | None:
    if record.waiting_for is not None:
        until = _instant(record.waiting_for.get("until"))
        shown = {"reason": record.waiting_for["reason"], "until": until, "ahead": None}
        return shown | {"open": record.open_children} if shown["reason"] == "children" else shown
    if record.state != "queued":
        return None
    if standing is None:
        return {"reason": "slot", "until": None, "ahead": None}
    return {"reason": standing.reason, "until": None, "ahead": standing.ahead}


def _error(problem: Any) -> dict[str, Any] | None:
    return {**problem, "at": _instant(problem.get("at"))} if problem is not None else None


def _instant(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None
