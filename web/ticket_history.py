"""What became of a ticket, change by change."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.tickets.history import ACTIONS, public
from web.contract import paging
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of

blueprint = Blueprint("ticket_history", __name__, tag="Tickets", scope="tickets")


class TicketChanged(Shape):
    """A change of a ticket."""

    action = ma.fields.String(
        validate=ma.validate.OneOf(ACTIONS),
        metadata={"description": "`updated` by a source or a file, `edited` by hand, `returned` in its source"},
    )
    changes = ma.fields.Dict(
        keys=ma.fields.String(),
        metadata={"description": "field to `{old, new}`; an attribute is `attributes.` and its name"},
    )
    recorded_at = instant()
    job_id = ma.fields.String(allow_none=True, metadata={"description": "the job that did it"})
    actor_id = ma.fields.String(
        allow_none=True, metadata={"description": "who did it by hand: a person's id, or key: and an API key's"}
    )


_PAGE = page_of(TicketChanged, "TicketHistoryPage")
_EXAMPLE = {
    "action": "edited",
    "changes": {"status": {"old": "open", "new": "resolved"}},
    "recorded_at": "2026-01-31T09:30:00.000Z",
    "job_id": None,
    "actor_id": "01920f3c-8a4e-7b2f-8c1d-000000000001",
}


@blueprint.route("/v1/tickets/<id:ticket_id>/history", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, _PAGE, example={"items": [_EXAMPLE], "next_cursor": None})
def list_ticket_history(query: dict[str, Any], ticket_id: str) -> Response:
    """List what became of a ticket since it was made, the newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().tickets.history(who.org_id, ticket_id, before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found.documents, dump=public, place=lambda one: one["_id"], is_cut=found.is_cut)
