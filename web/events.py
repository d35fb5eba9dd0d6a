"""What happened to the organization, its people and settings."""

from typing import Any

import marshmallow as ma
from flask import Response

from common import events
from common.clock import rfc3339
from common.events import Event
from web.contract import paging
from web.contract.authentication import ANYONE, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of

blueprint = Blueprint("events", __name__, tag="Organizations", scope="organization")

NUMBER_MAX = 2**53 - 1


class EventsQuery(PageQuery):
    """From where on to list."""

    after = ma.fields.Integer(
        load_default=0,
        validate=ma.validate.Range(0, NUMBER_MAX),
        metadata={"description": "the number of the last event that is known", "example": 41},
    )


class EventSchema(Shape):
    """One thing that happened."""

    number = ma.fields.Integer(metadata={"description": "from 1 on, without a gap"})
    type = ma.fields.String()
    at = instant()
    actor = ma.fields.String(metadata={"description": "who did it: a person's id, or key: and an API key's"})
    data = ma.fields.Dict(keys=ma.fields.String())


_EXAMPLE: dict[str, Any] = {
    "number": 42,
    "type": "UserInvited",
    "at": "2026-01-31T09:30:00.000Z",
    "actor": "01920f3c-8a4e-7b2f-8c1d-000000000001",
    "data": {"user_id": "01920f3c-8a4e-7b2f-8c1d-000000000002", "role": "member"},
}


@blueprint.route("/v1/events", methods=["GET"])
@requires(*ANYONE)
@blueprint.arguments(EventsQuery, location="query")
@blueprint.response(200, page_of(EventSchema, "EventPage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_events(query: dict[str, Any]) -> Response:
    """List what happened, in its order; ask again with `after` for what came since."""
    who = caller()
    after = paging.position(who, query, _read_number) or query["after"]
    found = events.page(services().control, who.org_id, after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_shown, place=lambda one: one.number)


def _shown(event: Event) -> dict[str, Any]:
    return {
        "number": event.number,
        "type": event.type,
        "at": rfc3339(event.at),
        "actor": event.actor,
        "data": dict(event.data),
    }


def _read_number(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value <= NUMBER_MAX:
        raise ValueError("no number")
    return value
