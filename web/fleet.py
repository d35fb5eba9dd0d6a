"""The fleet: queues, who is in line, workers and pauses, for those who run the platform."""

from typing import Any

import marshmallow as ma
from flask import Response

from common import fleet
from common.jobs.steering import What
from web.contract import paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of
from web.job_document import EXAMPLE as JOB

blueprint = Blueprint("fleet", __name__, tag="Operators: fleet")

_HERE = "/v1/operations"
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


class PauseSchema(Shape):
    """Something that is paused."""

    what = ma.fields.String(validate=ma.validate.OneOf(sorted(_PAUSABLE.values())))
    name = ma.fields.String()
    since = instant()
    by = ma.fields.String(metadata={"description": "who did it"})


class LineQuery(PageQuery):
    """Which line to list."""

    line = ma.fields.String(load_default="ready", validate=ma.validate.OneOf(["ready", "over"]))


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
PAUSE: dict[str, Any] = {
    "what": "queue",
    "name": "tickets",
    "since": "2026-01-31T09:30:00.000Z",
    "by": "01920f3c-8a4e-7b2f-8c1d-6f5e4d3c2b1a",
}


@blueprint.route(f"{_HERE}/queues", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(QueueSchema, "QueuePage"), example={"items": [QUEUE], "next_cursor": None})
def list_queues(query: dict[str, Any]) -> Response:
    """Show every queue: what waits, runs and is due, its slots, and who is in line."""
    return paging.part(caller(), query, [_linked(one) for one in fleet.queues(services())])


@blueprint.route(f"{_HERE}/queues/<string:queue>/organizations", methods=["GET"])
@requires("operator")
@blueprint.arguments(LineQuery, location="query")
@blueprint.response(200, page_of(QueuerSchema, "QueuerPage"), example={"items": [QUEUER], "next_cursor": None})
def list_line(query: dict[str, Any], queue: str) -> Response:
    """List the organizations in line, the next to be served first; the line moves while it is read."""
    who = caller()
    offset = paging.position(who, query, paging.read_offset) or 0
    found = fleet.line(services(), queue, query["line"], offset=offset, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=dict, place=lambda _: offset + query["limit"])


@blueprint.route(f"{_HERE}/workers", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(WorkerSchema, "WorkerPage"), example={"items": [WORKER], "next_cursor": None})
def list_workers(query: dict[str, Any]) -> Response:
    """Show every worker that is alive, and the jobs that it runs."""
    return paging.part(caller(), query, [dict(one) for one in fleet.workers(services())])


@blueprint.route(f"{_HERE}/pauses", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(PauseSchema, "PausePage"), example={"items": [PAUSE], "next_cursor": None})
def list_pauses(query: dict[str, Any]) -> Response:
    """List what is paused: since when, and by whom."""
    return paging.part(caller(), query, [dict(one) for one in fleet.pauses(services())])


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


def _linked(shown: fleet.Shown) -> dict[str, Any]:
    here = f"{_HERE}/queues/{shown['queue']}"
    names = {"organizations": "organizations", "pause": "pause", "resume": "resume"}
    return {**shown, "links": {name: f"{here}/{path}" for name, path in names.items()}}
