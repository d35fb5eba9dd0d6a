"""Tickets: listed and searched, and made, changed, deleted and restored by hand."""

from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from flask import Response

from common.clock import rfc3339
from common.errors import Fault, Invalid
from common.jobs.idempotency import Answer
from common.tickets import selection
from common.tickets.asked import read_fields
from common.tickets.fields import NAME_MAX_CHARS, Unfit
from common.tickets.selection import Place, Selection
from common.tickets.ticket import STATUSES, public
from common.tickets.words import SOUGHT_MAX_CHARS
from web.contract import idempotency, openapi, paging, preconditions, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.ticket_bodies import NewTicket, TicketChange
from web.ticket_document import (
    EXAMPLE,
    PAGE_EXAMPLE,
    SENTIMENTS,
    URGENCIES,
    TicketPage,
    TicketSchema,
    revision,
    version,
)
from web.ticket_import_form import SOURCE_MAX_CHARS

blueprint = Blueprint("tickets", __name__, tag="Tickets", scope="tickets")
_FLAG: dict[str, Any] = {"truthy": {"true"}, "falsy": {"false"}}


class TicketsQuery(PageQuery):
    """Which tickets to list; `from` and `to` bound `created_at`, the second not included."""

    status = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATUSES))
    urgency = ma.fields.String(load_default=None, validate=ma.validate.OneOf(URGENCIES))
    sentiment = ma.fields.String(load_default=None, validate=ma.validate.OneOf(SENTIMENTS))
    requires_action = ma.fields.Boolean(load_default=None, **_FLAG)
    source_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, SOURCE_MAX_CHARS))
    external_id = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, NAME_MAX_CHARS),
        metadata={"description": "the one that its source calls so; needs `source_id`", "example": "4711"},
    )
    q = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, SOUGHT_MAX_CHARS),
        metadata={
            "description": "words that are all in subject or message, whole, whatever their case and accents; "
            'in double quotes "as they stand"',
            "example": "order delivery",
        },
    )
    since = Instant(load_default=None, data_key="from", metadata={"description": "made at or after"})
    until = Instant(load_default=None, data_key="to", metadata={"description": "made before"})
    deleted = ma.fields.Boolean(
        load_default=False,
        **_FLAG,
        metadata={"description": "true: those that are deleted and can be restored, the last deleted first"},
    )

    @ma.validates_schema
    def _demand_source(self, query: dict[str, Any], **_: Any) -> None:
        if query["external_id"] is not None and query["source_id"] is None:
            raise ma.ValidationError("Say in source_id whose external id it is: each has its own.", "external_id")


@blueprint.route("/v1/tickets", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(TicketsQuery, location="query")
@blueprint.response(200, TicketPage, example=PAGE_EXAMPLE)
def list_tickets(query: dict[str, Any]) -> Response:
    """List the organization's tickets, the newest first."""
    who = caller()
    names = (
        "status", "urgency", "sentiment", "requires_action", "source_id", "external_id",
        "since", "until", "deleted",
    )  # fmt: skip
    asked = Selection(words=query["q"], **{name: query[name] for name in names})
    before = paging.position(who, query, _read_place)
    try:
        found = selection.page(services().scope(who.org_id), asked, before=before, limit=query["limit"] + 1)
    except Unfit as unfit:
        raise Invalid("Nothing can be looked up like this.", [Fault(str(unfit), "q", "parameter")]) from unfit
    field = asked.order[0][0]
    return paging.page(
        who,
        query,
        found.documents,
        dump=public,
        place=lambda one: [rfc3339(one[field]), one["_id"]],
        is_cut=found.is_cut,
    )


@blueprint.route("/v1/tickets", methods=["POST"])
@requires("admin", "member")
@blueprint.arguments(NewTicket)
@blueprint.response(201, TicketSchema, example=EXAMPLE | {"source_id": "manual"})
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def add_ticket(asked: dict[str, Any]) -> Response:
    """Make a ticket by hand; it is classified at once, but for what is given."""
    who = caller()
    used = once("tickets.add", scope=who.org_id, request_parts=asked, answer=_made)
    answer = _made(services().tickets.create(who, read_fields(asked), once=used))
    return replies.one(answer.body, status=answer.status, headers=answer.headers)


@blueprint.route("/v1/tickets/<id:ticket_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, TicketSchema, example=EXAMPLE)
def get_ticket(ticket_id: str) -> Response:
    """Show a ticket, also a deleted one until it expires."""
    return _shown(services().tickets.get(caller().org_id, ticket_id))


@blueprint.route("/v1/tickets/<id:ticket_id>", methods=["PATCH"])
@requires("admin", "member")
@blueprint.arguments(TicketChange)
@blueprint.response(200, TicketSchema, example=EXAMPLE)
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def change_ticket(asked: dict[str, Any], ticket_id: str) -> Response:
    """Change a ticket by hand. It is classified anew where its words change, but for what is set by hand."""
    fields = read_fields(asked)
    meant = _revision_meant(ticket_id)
    return _shown(services().tickets.change(caller(), ticket_id, fields, revision=meant))


@blueprint.route("/v1/tickets/<id:ticket_id>", methods=["DELETE"])
@requires("admin", "member")
@blueprint.response(204, description="It is deleted, and can be restored until it expires")
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("precondition-failed"))
def delete_ticket(ticket_id: str) -> Response:
    """Delete a ticket: lists leave it out from now on, and its source does not bring it back."""
    services().tickets.delete(caller(), ticket_id, revision=_revision_meant(ticket_id))
    return Response(status=204)


@blueprint.route("/v1/tickets/<id:ticket_id>/restore", methods=["POST"])
@requires("admin", "member")
@blueprint.response(200, TicketSchema, example=EXAMPLE)
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def restore_ticket(ticket_id: str) -> Response:
    """Restore a deleted ticket. A full run deletes it again if its source has no such record."""
    return _shown(services().tickets.restore(caller(), ticket_id, revision=_revision_meant(ticket_id)))


def _revision_meant(ticket_id: str) -> int | None:
    """Return the revision that the caller's change is for, or `None` for whichever it is."""
    stored = services().tickets.get(caller().org_id, ticket_id)
    return revision(stored) if preconditions.matches(version(stored)) else None


def _made(stored: dict[str, Any]) -> Answer:
    shown = public(stored)
    return Answer(201, shown, {"Location": shown["links"]["self"], "ETag": f'"{version(stored)}"'})


def _shown(stored: dict[str, Any]) -> Response:
    return replies.one(public(stored), version=version(stored))


def _read_place(place: Any) -> Place:
    at, ticket_id = place
    return Place(datetime.fromisoformat(at).astimezone(UTC), paging.read_id(ticket_id))
