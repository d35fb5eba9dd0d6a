"""Tickets: looking at them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from flask import Response
from pymongo import DESCENDING

from common.clock import rfc3339
from common.errors import NotFound
from common.tickets.collections import TICKETS
from common.tickets.ticket import STATUSES, public
from web.contract import paging, replies
from web.contract.authentication import caller, requires
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of
from web.ticket_import_form import SOURCE_MAX_CHARS

blueprint = Blueprint("tickets", __name__, tag="Tickets", scope="tickets")


class TicketSchema(Shape):
    """A ticket."""

    id = ma.fields.String()
    source_id = ma.fields.String()
    external_id = ma.fields.String(allow_none=True)
    customer_id = ma.fields.String(allow_none=True)
    channel = ma.fields.String(allow_none=True)
    subject = ma.fields.String(allow_none=True)
    message = ma.fields.String()
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    tags = ma.fields.List(ma.fields.String())
    attributes = ma.fields.Dict(metadata={"description": "the columns that nothing maps"})
    urgency = ma.fields.String(allow_none=True, metadata={"description": "null until it is computed"})
    sentiment = ma.fields.String(allow_none=True, metadata={"description": "null until it is computed"})
    requires_action = ma.fields.Boolean(allow_none=True, metadata={"description": "null until it is computed"})
    classifier = ma.fields.String(allow_none=True)
    created_at = instant()
    updated_at = instant()
    deleted_at = instant(allow_none=True)
    links = links()


TicketPage = page_of(TicketSchema, "TicketPage")

EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-9b5f-7d2e-8c8b-3a7e6f5d4c3b",
    "source_id": "helpdesk",
    "external_id": "4711",
    "customer_id": "c-9",
    "channel": "email",
    "subject": "Where is my order?",
    "message": "I ordered a fortnight ago and have heard nothing since.",
    "status": "open",
    "tags": ["delivery"],
    "attributes": {"order": "A-1001"},
    "urgency": None,
    "sentiment": None,
    "requires_action": None,
    "classifier": None,
    "created_at": "2026-01-31T09:30:00.000Z",
    "updated_at": "2026-01-31T09:30:00.000Z",
    "deleted_at": None,
    "links": {"self": "/v1/tickets/01920f3c-9b5f-7d2e-8c8b-3a7e6f5d4c3b"},
}


class TicketsQuery(PageQuery):
    """Which tickets to list; `from` and `to` bound `created_at`, the second not included."""

    status = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATUSES))
    source_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, SOURCE_MAX_CHARS))
    since = Instant(load_default=None, data_key="from", metadata={"description": "made at or after"})
    until = Instant(load_default=None, data_key="to", metadata={"description": "made before"})


@blueprint.route("/v1/tickets", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(TicketsQuery, location="query")
@blueprint.response(200, TicketPage, example={"items": [EXAMPLE], "next_cursor": None})
def list_tickets(query: dict[str, Any]) -> Response:
    """List the organization's tickets, newest first."""
    who = caller()
    tickets = services().scope(who.org_id)[TICKETS]
    where = _filter(query)
    after = paging.position(who, query, _read_place)
    if after is not None:
        at, ticket_id = after
        where["$or"] = [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": ticket_id}}]
    newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
    found = list(tickets.find(where, sort=newest, limit=query["limit"] + 1))
    return paging.page(who, query, found, dump=public, place=lambda one: [rfc3339(one["created_at"]), one["_id"]])


@blueprint.route("/v1/tickets/<id:ticket_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, TicketSchema, example=EXAMPLE)
def get_ticket(ticket_id: str) -> Response:
    """Show a ticket."""
    found = services().scope(caller().org_id)[TICKETS].find_one({"_id": ticket_id})
    if found is None:
        raise NotFound("There is no such ticket.")
    return replies.one(public(found))


def _filter(query: Mapping[str, Any]) -> dict[str, Any]:
    where: dict[str, Any] = {"deleted_at": None}
    where |= {name: query[name] for name in ("status", "source_id") if query[name] is not None}
    bounds = {"$gte": query["since"], "$lt": query["until"]}
    bounds = {operator: at for operator, at in bounds.items() if at is not None}
    return where | ({"created_at": bounds} if bounds else {})


def _read_place(place: Any) -> tuple[datetime, str]:
    at, ticket_id = place
    return datetime.fromisoformat(at).astimezone(UTC), paging.read_id(ticket_id)
