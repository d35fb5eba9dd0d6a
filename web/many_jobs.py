"""Retrying and cancelling many jobs by a filter: counted first, then done as a job of its own."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.clock import rfc3339
from common.errors import Fault, Invalid
from common.jobs import many
from common.jobs.cancel_many import CancelMany
from common.jobs.idempotency import Answer
from common.jobs.many import COUNT_MOST, STATES_OF, Many
from common.jobs.retry_many import RetryMany
from web.contract import idempotency, openapi, replies
from web.contract.authentication import ANYONE, actor, caller, requires
from web.contract.flags import Flag
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.contract.shapes import Shape
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump

blueprint = Blueprint("many jobs", __name__, tag="Jobs", scope="jobs")


class FilterSchema(ma.Schema):
    """Which jobs; what is left out excludes none."""

    kind = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    state = ma.fields.String(
        load_default=None,
        validate=ma.validate.OneOf(sorted({state for states in STATES_OF.values() for state in states})),
    )
    since = Instant(load_default=None, metadata={"description": "made at or after"})
    until = Instant(load_default=None, metadata={"description": "made before"})


class ManySchema(ma.Schema):
    """A change of many jobs."""

    filter = ma.fields.Nested(FilterSchema, required=True)
    dry_run = Flag(load_default=False, metadata={"description": "only count"})


class Counted(Shape):
    """How many jobs a filter finds."""

    count = ma.fields.Integer(metadata={"description": f"{COUNT_MOST} at most"})
    more = ma.fields.Boolean(metadata={"description": "there are more than were counted"})


DRY_RUN: dict[str, Any] = {"count": 1_200, "more": False}


@blueprint.route("/v1/jobs/retry", methods=["POST"])
@requires(*ANYONE)
@blueprint.arguments(ManySchema)
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE, description="The job that does it")
@blueprint.alt_response(200, schema=Counted, example=DRY_RUN, description="With `dry_run`: how many it would be")
@blueprint.doc(parameters=[idempotency.PARAMETER])
def retry_jobs(asked: dict[str, Any]) -> Response:
    """Retry failed or cancelled jobs by filter; `dry_run` only counts."""
    return change_many(RetryMany, asked)


@blueprint.route("/v1/jobs/cancel", methods=["POST"])
@requires(*ANYONE)
@blueprint.arguments(ManySchema)
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE, description="The job that does it")
@blueprint.alt_response(200, schema=Counted, example=DRY_RUN, description="With `dry_run`: how many it would be")
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def cancel_jobs(asked: dict[str, Any]) -> Response:
    """Cancel queued, waiting and running jobs by filter; `dry_run` only counts."""
    return change_many(CancelMany, asked)


def change_many(kind: type[RetryMany] | type[CancelMany], asked: dict[str, Any], *, audited: str = "") -> Response:
    """Count what the filter finds, or accept the job that changes it. Raises `Invalid`.

    *audited* names the change where an operator makes it to others' jobs; else it reaches the caller's own.
    """
    idempotency.key()  # a bad one is refused, also where only counting is asked for
    who, made = caller(), services()
    job = _job(kind, asked, of_org=asked["org_id"] if audited else who.org_id)
    if asked["dry_run"]:
        return replies.one(many.count(made.jobs, job, who.org_id, asked_at=made.clock.now()))
    used = once(
        job.name,
        scope=who.org_id,
        request_parts=[job.kind, job.state, job.since, job.until, job.of_org],
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
    )
    if audited:
        made.audit.note(actor(), audited, job.of_org or "all organizations")
    record = made.submit(who, job, once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


def _job(kind: type[RetryMany] | type[CancelMany], asked: dict[str, Any], *, of_org: str | None) -> Many:
    wanted = asked["filter"]
    if wanted["state"] is not None and wanted["state"] not in STATES_OF[kind]:
        choices = ", ".join(STATES_OF[kind])
        raise Invalid(
            "Some fields are not valid; see errors.", [Fault(f"Must be one of: {choices}.", "/filter/state")]
        )
    instants = {name: rfc3339(wanted[name]) if wanted[name] else None for name in ("since", "until")}
    return kind(kind=wanted["kind"], state=wanted["state"], of_org=of_org, **instants)
