"""A ticket as the API shows it, and its version."""

from collections.abc import Mapping
from typing import Any, get_args

import marshmallow as ma

from common.tickets.classifying.classifier import SentimentClass, UrgencyClass
from common.tickets.ticket import STATUSES
from web.contract.shapes import Shape, instant, links, page_of

URGENCIES: tuple[str, ...] = get_args(UrgencyClass)
SENTIMENTS: tuple[str, ...] = get_args(SentimentClass)
_COMPUTED = {"description": "computed of subject and message, unless it is overridden by hand"}


class TicketSchema(Shape):
    """A ticket."""

    id = ma.fields.String()
    source_id = ma.fields.String(metadata={"description": "`manual` for one that was made by hand"})
    external_id = ma.fields.String(allow_none=True)
    customer_id = ma.fields.String(allow_none=True)
    channel = ma.fields.String(allow_none=True)
    subject = ma.fields.String(allow_none=True)
    message = ma.fields.String()
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    tags = ma.fields.List(ma.fields.String())
    attributes = ma.fields.Dict(
        keys=ma.fields.String(),
        metadata={"description": "what else there is: what came with it and maps to nothing"},
    )
    urgency = ma.fields.String(allow_none=True, validate=ma.validate.OneOf(URGENCIES), metadata=_COMPUTED)
    sentiment = ma.fields.String(allow_none=True, validate=ma.validate.OneOf(SENTIMENTS), metadata=_COMPUTED)
    requires_action = ma.fields.Boolean(allow_none=True, metadata=_COMPUTED)
    classifier = ma.fields.String(
        allow_none=True, metadata={"description": "the version of the rules that computed it last"}
    )
    overridden = ma.fields.List(
        ma.fields.String(), metadata={"description": "which of the computed fields are set by hand"}
    )
    created_at = instant()
    updated_at = instant()
    deleted_at = instant(allow_none=True)
    expires_at = instant(allow_none=True)
    links = links()


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
    "urgency": "high",
    "sentiment": "neutral",
    "requires_action": True,
    "classifier": "rules-1",
    "overridden": ["urgency"],
    "created_at": "2026-01-31T09:30:00.000Z",
    "updated_at": "2026-01-31T09:30:00.000Z",
    "deleted_at": None,
    "expires_at": None,
    "links": {
        "self": "/v1/tickets/01920f3c-9b5f-7d2e-8c8b-3a7e6f5d4c3b",
        "history": "/v1/tickets/01920f3c-9b5f-7d2e-8c8b-3a7e6f5d4c3b/history",
    },
}
PAGE_EXAMPLE: dict[str, Any] = {"items": [EXAMPLE], "next_cursor": None}
TicketPage = page_of(TicketSchema, "TicketPage")


def revision(stored: Mapping[str, Any]) -> int:
    """Return how often the ticket has been changed."""
    found: int | None = stored.get("revision")
    return found or 0


def version(stored: Mapping[str, Any]) -> str:
    """Return the ETag of a ticket: another one after every change."""
    return f"{stored['_id']}-{revision(stored)}"
