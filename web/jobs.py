"""Jobs: looking at them, waiting for them, cancelling and retrying them."""

import threading
import time
from datetime import datetime
from typing import Any

import marshmallow as ma
from flask import Response, request

from common.caller import Caller
from common.clock import rfc3339
from common.errors import Fault, Forbidden, Invalid, NotFound
from common.ids import is_id
from common.jobs.idempotency import Answer
from common.jobs.record import STATES, JobRecord
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import ANYONE, caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services

blueprint = Blueprint("jobs", __name__, description="Jobs")

WAIT_MAX_S = 30
LOOK_AGAIN_S = (0.05, 0.1, 0.2, 0.35, 0.5)
RETRY_AFTER_S = 1


class ProgressSchema(ma.Schema):
    """How far a job is."""

    done = ma.fields.Integer()
    total = ma.fields.Integer(allow_none=True)
    stage = ma.fields.String(allow_none=True)
    percent = ma.fields.Float(allow_none=True)


class JobSchema(ma.Schema):
    """A job."""

    id = ma.fields.String()
    kind = ma.fields.String(metadata={"description": "what is done: `family.verb_object`"})
    state = ma.fields.String(validate=ma.validate.OneOf(STATES))
    waiting_for = ma.fields.Dict(allow_none=True, metadata={"description": "`{reason, until}` while it waits"})
    priority = ma.fields.Integer()
    tags = ma.fields.List(ma.fields.String())
    progress = ma.fields.Nested(ProgressSchema)
    run = ma.fields.Integer()
    attempt = ma.fields.Integer()
    max_attempts = ma.fields.Integer()
    losses = ma.fields.Integer()
    created_at = ma.fields.String(metadata={"format": "date-time"})
    run_at = ma.fields.String(allow_none=True, metadata={"format": "date-time"})
    started_at = ma.fields.String(allow_none=True, metadata={"format": "date-time"})
    finished_at = ma.fields.String(allow_none=True, metadata={"format": "date-time"})
    result = ma.fields.Raw(allow_none=True)
    error = ma.fields.Dict(allow_none=True)
    errors = ma.fields.List(ma.fields.Dict())
    parent_id = ma.fields.String(allow_none=True)
    request_id = ma.fields.String()
    cancel_requested = ma.fields.Boolean()
    links = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String())


class JobPage(ma.Schema):
    """A page of jobs."""

    items = ma.fields.List(ma.fields.Nested(JobSchema))
    next_cursor = ma.fields.String(allow_none=True)


class JobsQuery(PageQuery):
    """Which jobs to list."""

    kind = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    since = ma.fields.AwareDateTime(load_default=None, metadata={"description": "made at or after"})


class WaitQuery(ma.Schema):
    """How long to wait for a change of state."""

    wait = ma.fields.Integer(load_default=0, validate=ma.validate.Range(0, WAIT_MAX_S))


@blueprint.route("/v1/jobs", methods=["GET"])
@requires(*ANYONE)
@blueprint.arguments(JobsQuery, location="query")
@blueprint.response(200, JobPage)
def list_jobs(query: dict[str, Any]) -> Response:
    """List the organization's jobs, newest first."""
    who = caller()
    found = services().jobs.page(
        who.org_id,
        limit=query["limit"] + 1,
        kind=query["kind"],
        state=query["state"],
        since=paging.bounded(query["since"], "since"),
        before=paging.position(who, query, paging.read_id),
    )
    return paging.page(who, query, found, dump=dump, place=lambda record: record.id)


@blueprint.route("/v1/jobs/<string:job_id>", methods=["GET"])
@requires(*ANYONE, "job")
@blueprint.arguments(WaitQuery, location="query")
@blueprint.response(200, JobSchema)
def get_job(query: dict[str, Any], job_id: str) -> Response:
    """Show a job; with `wait`, at its next change of state or after so many seconds."""
    who = caller()
    record = _find(who, job_id)
    if query["wait"] and not record.is_final:
        record = _wait_for_change(who, record, query["wait"])
    headers = {} if record.is_final else {"Retry-After": str(RETRY_AFTER_S)}
    return replies.one(dump(record), headers=headers)


@blueprint.route("/v1/jobs/<string:job_id>/cancel", methods=["POST"])
@requires(*ANYONE)
@blueprint.response(200, JobSchema)
@blueprint.doc(responses=openapi.errors("conflict"))
def cancel_job(job_id: str) -> Response:
    """Cancel a job that waits, or ask a running one to stop at its next checkpoint."""
    record = services().submitter.cancel(caller().org_id, _known_id(job_id))
    return replies.one(dump(record), status=200 if record.is_final else 202)


@blueprint.route("/v1/jobs/<string:job_id>/retry", methods=["POST"])
@requires(*ANYONE)
@blueprint.response(202, JobSchema)
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def retry_job(job_id: str) -> Response:
    """Start a fresh run of a failed or cancelled job; it goes on from its checkpoint."""
    who = caller()
    used = once(
        "jobs.retry",
        scope=who.org_id,
        request_parts=[job_id],
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
    )
    record = services().submitter.retry(who.org_id, _known_id(job_id), once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


def dump(record: JobRecord) -> dict[str, Any]:
    """Return *record* as the API shows a job."""
    here = f"/v1/jobs/{record.id}"
    return {
        "id": record.id,
        "kind": record.kind,
        "state": record.state,
        "waiting_for": _waiting_for(record),
        "priority": record.priority,
        "tags": list(record.tags),
        "progress": {
            "done": record.progress.done,
            "total": record.progress.total,
            "stage": record.progress.stage,
            "percent": record.progress.percent,
        },
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
        "links": {"self": here, "cancel": f"{here}/cancel"},
    }


def accepted_headers(record: JobRecord) -> dict[str, str]:
    """Return the headers of a 202: where the job is, and when to look."""
    return {"Location": f"/v1/jobs/{record.id}", "Retry-After": str(RETRY_AFTER_S)}


def _waiting_for(record: JobRecord) -> dict[str, Any] | None:
    if record.waiting_for is not None:
        return {"reason": record.waiting_for["reason"], "until": _instant(record.waiting_for.get("until"))}
    return {"reason": "slot", "until": None} if record.state == "queued" else None


def _error(problem: Any) -> dict[str, Any] | None:
    return {**problem, "at": _instant(problem.get("at"))} if problem is not None else None


def _instant(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None


def _find(who: Caller, job_id: str) -> JobRecord:
    if who.role == "job" and who.only_job != job_id:
        if request.method == "GET":
            raise NotFound("There is no such job.")
        raise Forbidden("This token reads one job.")
    return services().jobs.get(who.org_id, _known_id(job_id))


def _known_id(job_id: str) -> str:
    if not is_id(job_id):
        raise NotFound("There is no such job.")
    return job_id


class _Waiters:
    """Bounds how many threads of this process wait for jobs, so that the rest can answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def enter(self, most: int) -> bool:
        with self._lock:
            if self._count >= most:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._count -= 1


_waiters = _Waiters()


def _wait_for_change(who: Caller, record: JobRecord, wait_s: int) -> JobRecord:
    """Look again, at growing distance, until the state changes; at once if too many wait already."""
    if not _waiters.enter(services().settings.http_threads // 2):
        return record
    try:
        ends_at = time.monotonic() + wait_s
        for look in range(10_000):
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                break
            time.sleep(min(left_s, LOOK_AGAIN_S[min(look, len(LOOK_AGAIN_S) - 1)]))
            now = services().jobs.get(who.org_id, record.id)
            if now.state != record.state:
                return now
            record = now
        return record
    finally:
        _waiters.leave()


def invalid_parameter(name: str, detail: str) -> Invalid:
    """Return the problem of one parameter."""
    return Invalid("A parameter is not valid.", [Fault(detail, name, "parameter")])
