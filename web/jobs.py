"""Jobs: looking at them, waiting for them, cancelling and retrying them."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.caller import Caller
from common.errors import NotFound, Unauthenticated
from common.files.job_rights import demand_to_change
from common.jobs.idempotency import Answer
from common.jobs.record import STATES, JobRecord
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import ANYONE, caller, lasting, requires
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.limits import a_look
from web.contract.long_polls import wait_for
from web.contract.paging import PageQuery
from web.contract.services import services
from web.job_document import ACCEPTED_EXAMPLE, EXAMPLE, RETRY_AFTER_S, JobPage, JobSchema, accepted_headers, dump
from web.standings import show, show_all

blueprint = Blueprint("jobs", __name__, tag="Jobs", scope="jobs")

WAIT_MAX_S = 30


class JobsQuery(PageQuery):
    """Which jobs to list."""

    kind = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    since = Instant(load_default=None, metadata={"description": "made at or after"})


class WaitQuery(ma.Schema):
    """How long to wait for a change of state."""

    wait = ma.fields.Integer(
        load_default=0,
        validate=ma.validate.Range(0, WAIT_MAX_S),
        metadata={"description": "seconds; where too many wait already the answer comes at once"},
    )


@blueprint.route("/v1/jobs", methods=["GET"])
@requires(*ANYONE)
@blueprint.arguments(JobsQuery, location="query")
@blueprint.response(200, JobPage, example={"items": [EXAMPLE], "next_cursor": None})
def list_jobs(query: dict[str, Any]) -> Response:
    """List the organization's jobs, newest first."""
    who = caller()
    found = services().jobs.page(
        who.org_id,
        limit=query["limit"] + 1,
        kind=query["kind"],
        state=query["state"],
        since=query["since"],
        before=paging.position(who, query, paging.read_id),
    )
    shown = {one["id"]: one for one in show_all(services().lanes, found)}
    return paging.page(who, query, found, dump=lambda record: shown[record.id], place=lambda record: record.id)


@blueprint.route("/v1/jobs/<id:job_id>", methods=["GET"])
@a_look
@requires(*ANYONE, "job")
@blueprint.arguments(WaitQuery, location="query")
@blueprint.response(200, JobSchema, example=EXAMPLE)
def get_job(query: dict[str, Any], job_id: str) -> Response:
    """Show a job; with `wait`, at its next change of state or after so many seconds."""
    who = caller()
    record = _find(who, job_id)
    if query["wait"] and not record.is_final:
        record = _wait_for_change(who, record, query["wait"])
    headers = {} if record.is_final else {"Retry-After": str(RETRY_AFTER_S)}
    return replies.one(show(services().lanes, record), headers=headers)


@blueprint.route("/v1/jobs/<id:job_id>/cancel", methods=["POST"])
@requires(*ANYONE)
@blueprint.response(200, JobSchema, example=EXAMPLE | {"state": "cancelled"}, description="It is cancelled")
@blueprint.alt_response(
    202,
    schema=JobSchema,
    example=EXAMPLE | {"cancel_requested": True},
    description="It runs, and stops at its next checkpoint",
)
@blueprint.doc(responses=openapi.errors("conflict"))
def cancel_job(job_id: str) -> Response:
    """Cancel a job that waits, or ask a running one to stop at its next checkpoint."""
    who = caller()
    _must_be_allowed(who, job_id)
    record = services().submitter.cancel(who.org_id, job_id)
    if record.is_final:
        return replies.one(dump(record))
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


@blueprint.route("/v1/jobs/<id:job_id>/retry", methods=["POST"])
@requires(*ANYONE)
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"run": 2})
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
    _must_be_allowed(who, job_id)
    record = services().submitter.retry(who.org_id, job_id, once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


def _must_be_allowed(who: Caller, job_id: str) -> None:
    """Go on if the caller may cancel and retry the job: one of a room is for who may add files there."""
    if who.role == "member":
        record, scope = services().jobs.get(who.org_id, job_id), services().scope(who.org_id)
        demand_to_change(scope, record.kind, record.payload, who.user_id, is_admin=False)


def _find(who: Caller, job_id: str) -> JobRecord:
    if who.role == "job" and who.only_job != job_id:
        raise NotFound("There is no such job.")
    return services().jobs.get(who.org_id, job_id)


def _wait_for_change(who: Caller, seen: JobRecord, wait_s: int) -> JobRecord:
    """Return the job at its next change of state, or as it is when the wait is over."""
    latest = seen

    def look() -> JobRecord | None:
        nonlocal latest
        latest = services().jobs.get(who.org_id, seen.id)
        return latest if (latest.state, latest.run) != (seen.state, seen.run) else None

    still_holds = lasting()
    wait_for(look, wait_s=wait_s, clock=services().clock)
    if not still_holds():
        raise Unauthenticated("Your session ended while you waited. Sign in again.")
    return latest
