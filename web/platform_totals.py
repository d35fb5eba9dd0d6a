"""What all organizations come to, measured by a job of the platform and kept with its history; for operators."""

from typing import Any, cast

import marshmallow as ma
from flask import Response

from common import fleet
from common.analytics.platform_totals import DOMAINS_MOST, QUEUED_OVER, SORTS, USED_OVER, Sort
from common.analytics.total_platform import TotalPlatform
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.metering.figures import MOST
from web.contract import idempotency, paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump

blueprint = Blueprint("platform totals", __name__, tag="Operators: tenants")

HERE = "/v1/operations/analytics/platform"


class FiguresSchema(Shape):
    """What is measured of an organization, and summed up of all."""

    users = ma.fields.Integer()
    tickets = ma.fields.Integer()
    sources = ma.fields.Integer()
    files = ma.fields.Integer()
    storage_bytes = ma.fields.Integer()
    jobs = ma.fields.Integer(
        metadata={"description": f"accepted since the day (UTC) began that was {USED_OVER.days} days ago"}
    )
    ended = ma.fields.Integer()
    failed = ma.fields.Integer()


class SumsSchema(FiguresSchema):
    """What all organizations have."""

    organizations = ma.fields.Integer()


class QueueTimesSchema(Shape):
    """How long jobs of the last day waited before they began, at most 2 % off."""

    jobs = ma.fields.Integer()
    p50_s = ma.fields.Float(allow_none=True)
    p95_s = ma.fields.Float(allow_none=True)


class GrowthSchema(Shape):
    """By how much it is more than in earlier totals."""

    since = ma.fields.String(metadata={"format": "date-time"})
    organizations = ma.fields.Integer()
    users = ma.fields.Integer()
    tickets = ma.fields.Integer()


class DomainSchema(Shape):
    """How many people have addresses of a domain."""

    email_domain = ma.fields.String()
    users = ma.fields.Integer()


class TotalsSchema(Shape):
    """What all organizations come to."""

    id = ma.fields.String(metadata={"description": "of the job that measured it"})
    totals = ma.fields.Nested(SumsSchema)
    organizations_by = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer()),
        metadata={"description": "how many there are of each `tier`, `state` and `mode` of placement"},
    )
    queue = ma.fields.Nested(QueueTimesSchema)
    growth = ma.fields.List(
        ma.fields.Nested(GrowthSchema),
        metadata={"description": "since the last totals, and those of a week and of a month ago"},
    )
    email_domains = ma.fields.List(
        ma.fields.Nested(DomainSchema), metadata={"description": f"the {DOMAINS_MOST} of most people"}
    )
    begun_at = instant()
    as_of = instant()


class MeasuredSchema(FiguresSchema):
    """What one organization had when it was measured."""

    org_id = ma.fields.String()
    name = ma.fields.String()
    tier = ma.fields.String()
    state = ma.fields.String()
    mode = ma.fields.String(validate=ma.validate.OneOf(["pooled", "dedicated"]))
    queue_jobs = ma.fields.Integer(
        metadata={"description": f"jobs of the last {QUEUED_OVER.days} day that began or wait"}
    )
    queue_p50_s = ma.fields.Float(allow_none=True)
    queue_p95_s = ma.fields.Float(
        allow_none=True, metadata={"description": "how long they waited, 2 % off at most"}
    )
    created_at = instant()
    as_of = instant()


class MeasuredQuery(PageQuery):
    """In which order."""

    sort = ma.fields.String(
        load_default=SORTS[0],
        validate=ma.validate.OneOf(SORTS),
        metadata={"description": "who has most of this comes first"},
    )


_SUMS = {"users": 31000, "tickets": 48200000, "sources": 7100, "files": 912000, "storage_bytes": 5_100_000_000_000}
_JOBS = {"jobs": 120400, "ended": 120100, "failed": 310}
EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "totals": {"organizations": 10000, **_SUMS, **_JOBS},
    "organizations_by": {
        "tier": {"free": 9100, "standard": 900},
        "state": {"active": 9950, "deleted": 50},
        "mode": {"dedicated": 40, "pooled": 9960},
    },
    "queue": {"jobs": 16800, "p50_s": 0.021, "p95_s": 3.4},
    "growth": [{"since": "2026-01-24T09:30:00.000Z", "organizations": 120, "users": 410, "tickets": 812000}],
    "email_domains": [{"email_domain": "acme.example", "users": 812}],
    "begun_at": "2026-01-31T09:30:00.000Z",
    "as_of": "2026-01-31T09:30:41.000Z",
}
_MEASURED: dict[str, Any] = {
    "org_id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "name": "Acme",
    "tier": "standard",
    "state": "active",
    "mode": "pooled",
    "users": 12,
    "tickets": 98000,
    "sources": 3,
    "files": 1200,
    "storage_bytes": 8_700_000_000,
    "jobs": 410,
    "ended": 405,
    "failed": 12,
    "queue_jobs": 60,
    "queue_p50_s": 0.02,
    "queue_p95_s": 1.4,
    "created_at": "2025-06-01T09:30:00.000Z",
    "as_of": "2026-01-31T09:30:12.000Z",
}


@blueprint.route(HERE, methods=["POST"])
@requires("operator")
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": TotalPlatform.name})
@blueprint.doc(parameters=[idempotency.PARAMETER])
def total_platform() -> Response:
    """Measure all organizations, batch by batch; the job's result links what comes of it."""
    used = once("platform.total", scope=caller().org_id, request_parts=[], answer=_accepted)
    record = fleet.total_platform(services(), actor(), once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


@blueprint.route(HERE, methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(TotalsSchema, "TotalsPage"), example={"items": [EXAMPLE], "next_cursor": None})
def list_platform_totals(query: dict[str, Any]) -> Response:
    """List the totals that were measured, the newest first; they are kept for 800 days."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().platform_totals.page(before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=dict, place=lambda one: one["id"])


@blueprint.route(f"{HERE}/<id:job_id>", methods=["GET"])
@requires("operator")
@blueprint.response(200, TotalsSchema, example=EXAMPLE)
def get_platform_totals(job_id: str) -> Response:
    """Show the totals that a job measured."""
    return replies.one(services().platform_totals.get(job_id))


@blueprint.route(f"{HERE}/<id:job_id>/tenants", methods=["GET"])
@requires("operator")
@blueprint.arguments(MeasuredQuery, location="query")
@blueprint.response(
    200, page_of(MeasuredSchema, "MeasuredPage"), example={"items": [_MEASURED], "next_cursor": None}
)
def list_measured_tenants(query: dict[str, Any], job_id: str) -> Response:
    """List the organizations that a job measured, who has most of `sort` first; they are kept for 35 days."""
    who, sort = caller(), cast("Sort", query["sort"])
    made = services().platform_totals
    made.get(job_id)
    after = paging.position(who, query, _read_place)
    found = made.tenants(job_id, sort, after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=dict, place=lambda one: (one[sort], one["org_id"]))


def _read_place(place: Any) -> tuple[float | None, str]:
    value, org_id = place
    if not isinstance(value, float | int | None) or not isinstance(org_id, str) or abs(value or 0) > MOST:
        raise TypeError("no place among those that were measured")
    return value, org_id


def _accepted(record: JobRecord) -> Answer:
    return Answer(202, dump(record), accepted_headers(record))
