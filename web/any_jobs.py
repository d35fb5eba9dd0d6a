"""Jobs of all organizations, for operators; what was asked and what came of it is withheld."""

from typing import Any

import marshmallow as ma
from flask import Response

from common import fleet
from common.ids import OrgId
from common.jobs.cancel_many import CancelMany
from common.jobs.idempotency import Answer
from common.jobs.record import STATES, JobRecord
from common.jobs.retry_many import RetryMany
from common.jobs.selection import Selection
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import page_of
from web.job_document import EXAMPLE as JOB
from web.job_document import JobSchema, accepted_headers, dump
from web.many_jobs import DRY_RUN, Counted, ManySchema, change_many
from web.standings import show, show_all

blueprint = Blueprint("any jobs", __name__, tag="Operators: jobs")

_HERE = "/v1/operations/jobs"


class AnyJobSchema(JobSchema):
    """A job of any organization; what it was asked and what came of it are its organization's own."""

    class Meta(JobSchema.Meta):
        """As a job, without its result."""

        exclude = ("result",)

    org_id = ma.fields.String()


class AnyJobsQuery(PageQuery):
    """Which jobs to list."""

    org_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    kind = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    since = Instant(load_default=None, metadata={"description": "made at or after"})


class ManyOfAnyone(ManySchema):
    """Which jobs of which organization; none: of all."""

    org_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))


_ORG = "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f"
ANY_JOB: dict[str, Any] = {
    "org_id": _ORG,
    **{name: value for name, value in JOB.items() if name != "result"},
    "links": {
        "self": f"{_HERE}/{JOB['id']}",
        "cancel": f"{_HERE}/{JOB['id']}/cancel",
        "retry": f"{_HERE}/{JOB['id']}/retry",
    },
}


@blueprint.route(_HERE, methods=["GET"])
@requires("operator")
@blueprint.arguments(AnyJobsQuery, location="query")
@blueprint.response(200, page_of(AnyJobSchema, "AnyJobPage"), example={"items": [ANY_JOB], "next_cursor": None})
def list_any_jobs(query: dict[str, Any]) -> Response:
    """List jobs of all organizations, newest first; what they were asked is withheld."""
    who = caller()
    selection = Selection(
        org_id=OrgId(query["org_id"]) if query["org_id"] else None,
        kind=query["kind"],
        states=(query["state"],) if query["state"] else (),
        made_after=query["since"],
    )
    before = paging.position(who, query, paging.read_id)
    found = fleet.jobs(services(), selection, before=before, limit=query["limit"] + 1)
    shown = {one["id"]: one for one in map(_any_job, found, show_all(services().lanes, found))}
    return paging.page(who, query, found, dump=lambda record: shown[record.id], place=lambda record: record.id)


@blueprint.route(f"{_HERE}/<id:job_id>", methods=["GET"])
@requires("operator")
@blueprint.response(200, AnyJobSchema, example=ANY_JOB)
def get_any_job(job_id: str) -> Response:
    """Show a job of any organization; what it was asked is withheld."""
    record = fleet.job(services(), job_id)
    return replies.one(_any_job(record, show(services().lanes, record)))


@blueprint.route(f"{_HERE}/<id:job_id>/retry", methods=["POST"])
@requires("operator")
@blueprint.response(202, AnyJobSchema, example=ANY_JOB | {"state": "queued", "run": 2})
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def retry_any_job(job_id: str) -> Response:
    """Start a fresh run of anybody's failed or cancelled job."""
    used = once("operations.retry", scope=caller().org_id, request_parts=[job_id], answer=_accepted)
    given = _accepted(fleet.retry(services(), actor(), job_id, once=used))
    return replies.one(given.body, status=given.status, headers=given.headers)


@blueprint.route(f"{_HERE}/<id:job_id>/cancel", methods=["POST"])
@requires("operator")
@blueprint.response(200, AnyJobSchema, example=ANY_JOB | {"state": "cancelled"}, description="It is cancelled")
@blueprint.alt_response(
    202,
    schema=AnyJobSchema,
    example=ANY_JOB | {"cancel_requested": True},
    description="It runs, and stops at its next checkpoint",
)
@blueprint.doc(responses=openapi.errors("conflict"))
def cancel_any_job(job_id: str) -> Response:
    """Cancel anybody's job, or ask it to stop at its next checkpoint."""
    record = fleet.cancel(services(), actor(), job_id)
    if record.is_final:
        return replies.one(_any_job(record, dump(record)))
    return replies.one(_any_job(record, dump(record)), status=202, headers=_look_here(record))


@blueprint.route(f"{_HERE}/retry", methods=["POST"])
@requires("operator")
@blueprint.arguments(ManyOfAnyone)
@blueprint.response(202, JobSchema, example=JOB, description="The platform's job that does it")
@blueprint.alt_response(200, schema=Counted, example=DRY_RUN, description="With `dry_run`: how many it would be")
@blueprint.doc(parameters=[idempotency.PARAMETER])
def retry_any_jobs(asked: dict[str, Any]) -> Response:
    """Retry failed or cancelled jobs by filter, of one organization or of all; `dry_run` only counts."""
    return change_many(RetryMany, asked, audited="jobs.retry")


@blueprint.route(f"{_HERE}/cancel", methods=["POST"])
@requires("operator")
@blueprint.arguments(ManyOfAnyone)
@blueprint.response(202, JobSchema, example=JOB, description="The platform's job that does it")
@blueprint.alt_response(200, schema=Counted, example=DRY_RUN, description="With `dry_run`: how many it would be")
@blueprint.doc(parameters=[idempotency.PARAMETER])
def cancel_any_jobs(asked: dict[str, Any]) -> Response:
    """Cancel jobs by filter, of one organization or of all; `dry_run` only counts."""
    return change_many(CancelMany, asked, audited="jobs.cancel")


def _any_job(record: JobRecord, shown: dict[str, Any]) -> dict[str, Any]:
    """Return a job as operators see it: whose it is, without what was asked and what came of it."""
    del shown["result"]
    here = f"{_HERE}/{record.id}"
    own = {"self": here, "cancel": f"{here}/cancel", "retry": f"{here}/retry"}
    return {"org_id": record.org_id, **shown, "links": own}


def _accepted(record: JobRecord) -> Answer:
    return Answer(202, _any_job(record, dump(record)), _look_here(record))


def _look_here(record: JobRecord) -> dict[str, str]:
    return {**accepted_headers(record), "Location": f"{_HERE}/{record.id}"}
