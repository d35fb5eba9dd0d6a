"""The fleet: queues, workers, jobs of all organizations, pauses and tiers, for those who run the platform."""

from typing import Any

import marshmallow as ma
from flask import Response, request

from common import fleet
from common.errors import NotFound, PreconditionRequired, Stale
from common.ids import OrgId, is_id
from common.jobs.cancel_many import CancelMany
from common.jobs.record import STATES, JobRecord
from common.jobs.retry_many import RetryMany
from common.jobs.selection import Selection
from common.jobs.steering import What
from common.tenancy.registry import Organization
from common.tenancy.tiers import DEFAULTS, MOST, shown
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.limits import QUOTA_MAX
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of
from web.job_document import EXAMPLE as JOB
from web.job_document import JobSchema, accepted_headers, dump
from web.many_jobs import DRY_RUN, Counted, ManySchema, change_many
from web.standings import show, show_all

blueprint = Blueprint("fleet", __name__, description="For operators: queues, workers, jobs, tiers")

_HERE = "/v1/operations"
_OFFSET_MAX = 10_000_000
_PAUSABLE: dict[str, What] = {"queues": "queue", "kinds": "kind", "organizations": "organization"}


class QueueSchema(Shape):
    """A queue."""

    queue = ma.fields.String()
    waiting = ma.fields.Integer(metadata={"description": "jobs in its lanes"})
    running = ma.fields.Integer(metadata={"description": "jobs that workers hold"})
    due = ma.fields.Integer(metadata={"description": "jobs that wait for a time"})
    slots = ma.fields.Integer(metadata={"description": "of the workers that are alive"})
    idle = ma.fields.Integer(metadata={"description": "carriers that wait for work"})
    ready = ma.fields.Integer(metadata={"description": "organizations that may have the next slot"})
    over = ma.fields.Integer(
        metadata={"description": "organizations at their caps; slots that idle are lent to them"}
    )
    borrowed = ma.fields.Integer(metadata={"description": "slots lent since Redis was last rebuilt"})
    served = ma.fields.Integer(metadata={"description": "jobs given to slots since then"})
    retaken = ma.fields.Integer(metadata={"description": "jobs offered again since then: nobody claimed them"})
    oldest_age_s = ma.fields.Float(
        allow_none=True, metadata={"description": "how long the oldest job has been queued"}
    )
    paused_since = instant(allow_none=True)
    rebuilding = ma.fields.Dict(
        allow_none=True,
        metadata={"description": "`{admitted, stage}` while all lanes are made again from MongoDB"},
    )
    links = links()


class QueuerSchema(Shape):
    """An organization in line."""

    org_id = ma.fields.String()
    tier = ma.fields.String(allow_none=True)
    waiting = ma.fields.Integer(metadata={"description": "its jobs in this queue"})
    running = ma.fields.Integer(metadata={"description": "its jobs in all queues"})


class WorkerSchema(Shape):
    """A worker that is alive."""

    worker = ma.fields.String()
    queue = ma.fields.String()
    slots = ma.fields.Integer()
    jobs = ma.fields.List(
        ma.fields.Dict(), metadata={"description": "`{job_id, org_id, kind, started_at, lease_until}` each"}
    )


class AnyJobSchema(JobSchema):
    """A job of any organization; what it was asked and what came of it are its organization's own."""

    class Meta(JobSchema.Meta):
        """As a job, without its result."""

        exclude = ("result",)

    org_id = ma.fields.String()


class OrganizationSchema(Shape):
    """An organization and its load."""

    id = ma.fields.String()
    name = ma.fields.String()
    slug = ma.fields.String()
    tier = ma.fields.String()
    isolation = ma.fields.String()
    created_at = instant()
    waiting = ma.fields.Integer(metadata={"description": "its jobs that are queued or wait for a time"})
    running = ma.fields.Integer()


class TierSchema(Shape):
    """What a tier gives to each of its organizations."""

    tier = ma.fields.String()
    weight = ma.fields.Integer(metadata={"description": "its share of busy slots against others'"})
    running = ma.fields.Integer(metadata={"description": "jobs at a time; slots beyond are only lent"})
    waiting = ma.fields.Integer(metadata={"description": "jobs accepted and not begun, at most"})
    requests_a_minute = ma.fields.Integer()
    requests_an_hour = ma.fields.Integer()
    storage_bytes = ma.fields.Integer()


class PauseSchema(Shape):
    """Something that is paused."""

    what = ma.fields.String(validate=ma.validate.OneOf(sorted(_PAUSABLE.values())))
    name = ma.fields.String()
    since = instant()
    by = ma.fields.String(metadata={"description": "who did it"})


class LineQuery(PageQuery):
    """Which line to list."""

    line = ma.fields.String(load_default="ready", validate=ma.validate.OneOf(["ready", "over"]))


class AnyJobsQuery(PageQuery):
    """Which jobs to list."""

    org_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    kind = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))
    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    since = Instant(load_default=None, metadata={"description": "made at or after"})


class OrganizationsQuery(PageQuery):
    """Which organizations to list."""

    q = ma.fields.String(
        load_default="",
        validate=[ma.validate.Length(0, 100), ma.validate.ContainsNoneOf("\0", error="Must be text.")],
        metadata={"description": "part of a name or a slug"},
    )


class TierOf(ma.Schema):
    """An organization's other tier."""

    tier = ma.fields.String(required=True, validate=ma.validate.OneOf(["free", "standard", "enterprise"]))


class TierChange(ma.Schema):
    """New figures of a tier; those left out stay."""

    weight = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 1_000))
    running = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 100_000))
    waiting = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 10_000_000))
    requests_a_minute = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, QUOTA_MAX))
    requests_an_hour = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, QUOTA_MAX))
    storage_bytes = ma.fields.Integer(strict=True, validate=ma.validate.Range(0, MOST * 1_000))


class ManyOfAnyone(ManySchema):
    """Which jobs of which organization; none: of all."""

    org_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))


ORG = "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f"
QUEUE: dict[str, Any] = {
    "queue": "tickets",
    "waiting": 10_000,
    "running": 2,
    "due": 14,
    "slots": 2,
    "idle": 0,
    "ready": 3,
    "over": 1,
    "borrowed": 120,
    "served": 48_211,
    "retaken": 0,
    "oldest_age_s": 12.5,
    "paused_since": None,
    "rebuilding": None,
    "links": {
        "organizations": "/v1/operations/queues/tickets/organizations",
        "pause": "/v1/operations/queues/tickets/pause",
        "resume": "/v1/operations/queues/tickets/resume",
    },
}
QUEUER: dict[str, Any] = {"org_id": ORG, "tier": "free", "waiting": 10_000, "running": 2}
WORKER: dict[str, Any] = {
    "worker": "tickets@host",
    "queue": "tickets",
    "slots": 2,
    "jobs": [
        {
            "job_id": JOB["id"],
            "org_id": ORG,
            "kind": "family.verb_object",
            "started_at": "2026-01-31T09:30:00.000Z",
            "lease_until": "2026-01-31T09:30:30.000Z",
        }
    ],
}
ANY_JOB: dict[str, Any] = {
    "org_id": ORG,
    **{name: value for name, value in JOB.items() if name != "result"},
    "links": {
        "self": f"/v1/operations/jobs/{JOB['id']}",
        "cancel": f"/v1/operations/jobs/{JOB['id']}/cancel",
        "retry": f"/v1/operations/jobs/{JOB['id']}/retry",
    },
}
ORGANIZATION: dict[str, Any] = {
    "id": ORG,
    "name": "Acme",
    "slug": "acme",
    "tier": "free",
    "isolation": "pooled",
    "created_at": "2026-01-31T09:30:00.000Z",
    "waiting": 12,
    "running": 2,
}
TIER: dict[str, Any] = {"tier": "free", **shown(DEFAULTS["free"])}
PAUSE: dict[str, Any] = {
    "what": "queue",
    "name": "tickets",
    "since": "2026-01-31T09:30:00.000Z",
    "by": "01920f3c-8a4e-7b2f-8c1d-6f5e4d3c2b1a",
}


@blueprint.route(f"{_HERE}/queues", methods=["GET"])
@requires("operator")
@blueprint.response(200, page_of(QueueSchema, "QueuePage"), example={"items": [QUEUE], "next_cursor": None})
def list_queues() -> Response:
    """Show every queue: what waits, runs and is due, its slots, and who is in line."""
    return _whole([_linked(one) for one in fleet.queues(services())])


@blueprint.route(f"{_HERE}/queues/<string:queue>/organizations", methods=["GET"])
@requires("operator")
@blueprint.arguments(LineQuery, location="query")
@blueprint.response(200, page_of(QueuerSchema, "QueuerPage"), example={"items": [QUEUER], "next_cursor": None})
def list_line(query: dict[str, Any], queue: str) -> Response:
    """List the organizations in line, the next to be served first; the line moves while it is read."""
    who = caller()
    offset = paging.position(who, query, _read_offset) or 0
    found = fleet.line(services(), queue, query["line"], offset=offset, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=dict, place=lambda _: offset + query["limit"])


@blueprint.route(f"{_HERE}/workers", methods=["GET"])
@requires("operator")
@blueprint.response(200, page_of(WorkerSchema, "WorkerPage"), example={"items": [WORKER], "next_cursor": None})
def list_workers() -> Response:
    """Show every worker that is alive, and the jobs that it runs."""
    return _whole([dict(one) for one in fleet.workers(services())])


@blueprint.route(f"{_HERE}/jobs", methods=["GET"])
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
    shown = {one["id"]: one for one in map(_any_job, found, show_all(found))}
    return paging.page(who, query, found, dump=lambda record: shown[record.id], place=lambda record: record.id)


@blueprint.route(f"{_HERE}/jobs/<string:job_id>", methods=["GET"])
@requires("operator")
@blueprint.response(200, AnyJobSchema, example=ANY_JOB)
def get_any_job(job_id: str) -> Response:
    """Show a job of any organization; what it was asked is withheld."""
    record = fleet.job(services(), _known_id(job_id))
    return replies.one(_any_job(record, show(record)))


@blueprint.route(f"{_HERE}/jobs/<string:job_id>/retry", methods=["POST"])
@requires("operator")
@blueprint.response(202, AnyJobSchema, example=ANY_JOB | {"state": "queued", "run": 2})
@blueprint.doc(responses=openapi.errors("conflict"))
def retry_any_job(job_id: str) -> Response:
    """Start a fresh run of anybody's failed or cancelled job."""
    record = fleet.retry(services(), actor(), _known_id(job_id))
    return replies.one(_any_job(record, dump(record)), status=202, headers=_look_here(record))


@blueprint.route(f"{_HERE}/jobs/<string:job_id>/cancel", methods=["POST"])
@requires("operator")
@blueprint.response(200, AnyJobSchema, example=ANY_JOB | {"state": "cancelled"}, description="It is cancelled")
@blueprint.alt_response(202, schema=AnyJobSchema, description="It runs, and stops at its next checkpoint")
@blueprint.doc(responses=openapi.errors("conflict"))
def cancel_any_job(job_id: str) -> Response:
    """Cancel anybody's job, or ask it to stop at its next checkpoint."""
    record = fleet.cancel(services(), actor(), _known_id(job_id))
    if record.is_final:
        return replies.one(_any_job(record, dump(record)))
    return replies.one(_any_job(record, dump(record)), status=202, headers=_look_here(record))


@blueprint.route(f"{_HERE}/jobs/retry", methods=["POST"])
@requires("operator")
@blueprint.arguments(ManyOfAnyone)
@blueprint.response(202, JobSchema, example=JOB, description="The platform's job that does it")
@blueprint.alt_response(200, schema=Counted, example=DRY_RUN, description="With `dry_run`: how many it would be")
@blueprint.doc(parameters=[idempotency.PARAMETER])
def retry_any_jobs(asked: dict[str, Any]) -> Response:
    """Retry failed or cancelled jobs by filter, of one organization or of all; `dry_run` only counts."""
    return change_many(RetryMany, asked, audited="jobs.retry")


@blueprint.route(f"{_HERE}/jobs/cancel", methods=["POST"])
@requires("operator")
@blueprint.arguments(ManyOfAnyone)
@blueprint.response(202, JobSchema, example=JOB, description="The platform's job that does it")
@blueprint.alt_response(200, schema=Counted, example=DRY_RUN, description="With `dry_run`: how many it would be")
@blueprint.doc(parameters=[idempotency.PARAMETER])
def cancel_any_jobs(asked: dict[str, Any]) -> Response:
    """Cancel jobs by filter, of one organization or of all; `dry_run` only counts."""
    return change_many(CancelMany, asked, audited="jobs.cancel")


@blueprint.route(f"{_HERE}/organizations", methods=["GET"])
@requires("operator")
@blueprint.arguments(OrganizationsQuery, location="query")
@blueprint.response(
    200, page_of(OrganizationSchema, "OrganizationPage"), example={"items": [ORGANIZATION], "next_cursor": None}
)
def list_organizations(query: dict[str, Any]) -> Response:
    """List organizations, by part of a name or a slug."""
    who = caller()
    after = paging.position(who, query, paging.read_id) or ""
    found = fleet.organizations(services(), query["q"], after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_organization, place=lambda one: one.org_id)


@blueprint.route(f"{_HERE}/organizations/<string:org_id>", methods=["GET"])
@requires("operator")
@blueprint.response(200, OrganizationSchema, example=ORGANIZATION)
def get_any_organization(org_id: str) -> Response:
    """Show an organization; the ETag is for changing its tier."""
    found = services().registry.get(OrgId(_known_org(org_id)), fresh=True)
    return replies.one(_organization(found), version=found.version)


@blueprint.route(f"{_HERE}/organizations/<string:org_id>", methods=["PATCH"])
@requires("operator")
@blueprint.arguments(TierOf)
@blueprint.response(200, OrganizationSchema, example=ORGANIZATION | {"tier": "standard"})
@blueprint.doc(
    parameters=[replies.IF_MATCH], responses=openapi.errors("precondition-failed", "precondition-required")
)
def change_organization(asked: dict[str, Any], org_id: str) -> Response:
    """Give an organization another tier: at once for its jobs, within seconds for its requests."""
    was = services().registry.get(OrgId(_known_org(org_id)), fresh=True)
    if not request.if_match:
        raise PreconditionRequired("Send If-Match with the ETag of the organization as you read it.")
    if was.version not in request.if_match:
        raise Stale("The organization has changed since you read it. Read it again.")
    changed = fleet.set_tier(services(), actor(), was, asked["tier"])
    return replies.one(_organization(changed), version=changed.version)


@blueprint.route(f"{_HERE}/tiers", methods=["GET"])
@requires("operator")
@blueprint.response(200, page_of(TierSchema, "TierPage"), example={"items": [TIER], "next_cursor": None})
def list_tiers() -> Response:
    """Show the table of tiers as it holds now."""
    return _whole([dict(one) for one in fleet.tiers(services())])


@blueprint.route(f"{_HERE}/tiers/<string:tier>", methods=["PATCH"])
@requires("operator")
@blueprint.arguments(TierChange)
@blueprint.response(200, TierSchema, example=TIER)
def change_tier(asked: dict[str, Any], tier: str) -> Response:
    """Change figures of a tier for all its organizations: in the lanes at once, elsewhere within five seconds."""
    return replies.one(fleet.change_tier(services(), actor(), tier, asked))


@blueprint.route(f"{_HERE}/pauses", methods=["GET"])
@requires("operator")
@blueprint.response(200, page_of(PauseSchema, "PausePage"), example={"items": [PAUSE], "next_cursor": None})
def list_pauses() -> Response:
    """List what is paused: since when, and by whom."""
    return _whole([dict(one) for one in fleet.pauses(services())])


def _offer_pause(plural: str, what: What) -> None:
    """Make the two operations that pause and resume a queue, a kind or an organization."""

    def pause(name: str) -> Response:
        return replies.one(fleet.pause(services(), actor(), what, name))

    def resume(name: str) -> Response:
        return replies.one(fleet.resume(services(), actor(), what, name))

    pause.__doc__ = f"Begin no more of this {what}'s jobs; what runs goes on."
    resume.__doc__ = f"Let this {what}'s jobs go on; how it was paused is shown."
    for view in (pause, resume):
        verb = view.__name__
        view.__name__ = view.__qualname__ = f"{verb}_{what}"
        shown = blueprint.response(200, PauseSchema, example=PAUSE | {"what": what})(view)
        path = f"{_HERE}/{plural}/<string:name>/{verb}"
        blueprint.route(path, methods=["POST"], endpoint=view.__name__)(requires("operator")(shown))


for _plural, _what in _PAUSABLE.items():
    _offer_pause(_plural, _what)


def _whole(items: list[dict[str, Any]]) -> Response:
    """Answer with a list that is bounded by the deployment, as one page."""
    return replies.one({"items": items, "next_cursor": None})


def _linked(shown: fleet.Shown) -> dict[str, Any]:
    here = f"{_HERE}/queues/{shown['queue']}"
    names = {"organizations": "organizations", "pause": "pause", "resume": "resume"}
    return {**shown, "links": {name: f"{here}/{path}" for name, path in names.items()}}


def _any_job(record: JobRecord, shown: dict[str, Any]) -> dict[str, Any]:
    """Return a job as operators see it: whose it is, without what was asked and what came of it."""
    del shown["result"]
    here = f"{_HERE}/jobs/{record.id}"
    own = {"self": here, "cancel": f"{here}/cancel", "retry": f"{here}/retry"}
    return {"org_id": record.org_id, **shown, "links": own}


def _look_here(record: JobRecord) -> dict[str, str]:
    return {**accepted_headers(record), "Location": f"{_HERE}/jobs/{record.id}"}


def _organization(one: Organization) -> dict[str, Any]:
    return dict(fleet.organization(services(), one))


def _known_id(job_id: str) -> str:
    if not is_id(job_id):
        raise NotFound("There is no such job.")
    return job_id


def _known_org(org_id: str) -> str:
    if not is_id(org_id):
        raise NotFound("There is no such organization.")
    return org_id


def _read_offset(value: Any) -> int:
    """Read where in a line a page begins. Raises `ValueError`."""
    if not isinstance(value, int) or not 0 < value <= _OFFSET_MAX:
        raise ValueError("no offset")
    return value
