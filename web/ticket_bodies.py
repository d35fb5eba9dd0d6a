"""What a ticket may be asked to be: the bodies of those that are made and changed by hand."""

from typing import Any

import marshmallow as ma

from common.tickets.attributes import ATTRIBUTES_MAX, NAME_MAX_CHARS
from common.tickets.fields import (
    ATTRIBUTE_MAX_CHARS,
    MESSAGE_MAX_CHARS,
    SUBJECT_MAX_CHARS,
    TAG_MAX_CHARS,
    TAGS_MAX,
)
from common.tickets.fields import NAME_MAX_CHARS as TEXT_MAX_CHARS
from common.tickets.ticket import STATUSES
from web.contract.flags import Flag
from web.ticket_document import SENTIMENTS, URGENCIES

_INT64 = 2**63
_BY_HAND = {"description": "by hand, which is left as it is; null: computed"}
_SOMETHING = ma.validate.Regexp(r"[\s\S]*\S", error="Must hold something but blanks.")


def _text(max_chars: int, example: str, **options: Any) -> ma.fields.String:
    return ma.fields.String(validate=ma.validate.Length(0, max_chars), metadata={"example": example}, **options)


class TicketChange(ma.Schema):
    """What to change; what is left out stays."""

    subject = _text(SUBJECT_MAX_CHARS, "Where is my order?", allow_none=True)
    message = ma.fields.String(
        validate=[ma.validate.Length(1, MESSAGE_MAX_CHARS), _SOMETHING],
        metadata={"example": "I ordered a fortnight ago and have heard nothing since."},
    )
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES), metadata={"example": "open"})
    tags = ma.fields.List(
        ma.fields.String(validate=ma.validate.Length(1, TAG_MAX_CHARS)),
        validate=ma.validate.Length(0, TAGS_MAX),
        metadata={"description": "all of them, in place of those that are there", "example": ["delivery"]},
    )
    customer_id = _text(TEXT_MAX_CHARS, "c-9", allow_none=True)
    channel = _text(TEXT_MAX_CHARS, "phone", allow_none=True)
    attributes = ma.fields.Dict(
        keys=ma.fields.String(validate=ma.validate.Length(0, NAME_MAX_CHARS)),
        values=ma.fields.Raw(
            allow_none=True,
            metadata={
                "type": ["string", "number", "boolean"],
                "maxLength": ATTRIBUTE_MAX_CHARS,
                "minimum": -_INT64,
                "exclusiveMaximum": _INT64,
            },
        ),
        validate=ma.validate.Length(0, ATTRIBUTES_MAX),
        metadata={
            "description": "those that are named are set, null takes one away, others stay",
            "example": {"order": "A-1001"},
        },
    )
    urgency = ma.fields.String(allow_none=True, validate=ma.validate.OneOf(URGENCIES), metadata=_BY_HAND)
    sentiment = ma.fields.String(allow_none=True, validate=ma.validate.OneOf(SENTIMENTS), metadata=_BY_HAND)
    requires_action = Flag(allow_none=True, metadata=_BY_HAND)


class NewTicket(TicketChange):
    """A ticket."""

    message = ma.fields.String(
        required=True,
        validate=[ma.validate.Length(1, MESSAGE_MAX_CHARS), _SOMETHING],
        metadata={"example": "I ordered a fortnight ago and have heard nothing since."},
    )
    external_id = ma.fields.String(
        allow_none=True,
        validate=ma.validate.Length(1, TEXT_MAX_CHARS),
        metadata={"description": "one that no other ticket made by hand has", "example": "4711"},
    )
