"""What a source may be asked to be: the bodies of those that are made and changed."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from common.connectors.known import CONNECTORS
from common.errors import Fault, Invalid
from common.sources.draft import CREDENTIALS_MOST, EVERY_MINUTES, NAME_MAX_CHARS, URL_MAX_CHARS, Draft, source_name
from common.sources.source import Rate
from web.source_document import RateLimitSchema

PAGE_SIZE_MAX = 1_000
CREDENTIAL_MAX_CHARS = 8_192
CONFIG_MAX_FIELDS = 100

_NAME = {"description": "printable; kept in its composed form (NFC)", "example": "Issues of our website"}
_URL = {
    "description": "https, on the public network; others only where the operator allows host and port",
    "example": "https://api.github.com/repos/acme/website",
}
_CREDENTIALS = {
    "description": "what the API wants to be shown, by the connector's names: all of it, in place of what is"
    " there; kept encrypted, and shown to nobody",
    "maxProperties": CREDENTIALS_MOST,
    "example": {"token": "a-token-of-your-own"},
}


class SourceChange(ma.Schema):
    """What to change; what is left out stays."""

    name = ma.fields.String(validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata=_NAME)
    base_url = ma.fields.String(validate=ma.validate.Length(1, URL_MAX_CHARS), metadata=_URL)
    page_size = ma.fields.Integer(
        strict=True,
        allow_none=True,
        validate=ma.validate.Range(1, PAGE_SIZE_MAX),
        metadata={"description": "records on a page, at most the connector's; null: its default", "example": 100},
    )
    rate_limit = ma.fields.Nested(
        RateLimitSchema,
        allow_none=True,
        metadata={"description": "below what every host is asked at most, 60 calls in 60 seconds; null: none"},
    )
    every_minutes = ma.fields.Integer(
        strict=True,
        allow_none=True,
        validate=ma.validate.Range(*EVERY_MINUTES),
        metadata={"description": "how often a run is started; null: by hand only", "example": 60},
    )
    config = ma.fields.Dict(
        keys=ma.fields.String(validate=ma.validate.Length(1, NAME_MAX_CHARS)),
        validate=ma.validate.Length(0, CONFIG_MAX_FIELDS),
        metadata={
            "description": "what the connector has to be told, at most 16 KiB; no secrets: it is shown. "
            "docs/connectors.md lists the settings of each",
            "maxProperties": CONFIG_MAX_FIELDS,
            "example": {},
        },
    )
    credentials = ma.fields.Dict(
        keys=ma.fields.String(validate=ma.validate.Length(1, NAME_MAX_CHARS)),
        values=ma.fields.String(validate=ma.validate.Length(1, CREDENTIAL_MAX_CHARS)),
        allow_none=True,
        validate=ma.validate.Length(0, CREDENTIALS_MOST),
        metadata=_CREDENTIALS,
    )


class NewSource(SourceChange):
    """A source."""

    name = ma.fields.String(required=True, validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata=_NAME)
    connector = ma.fields.String(
        required=True, validate=ma.validate.OneOf(list(CONNECTORS)), metadata={"example": "github_issues"}
    )
    base_url = ma.fields.String(required=True, validate=ma.validate.Length(1, URL_MAX_CHARS), metadata=_URL)


EXAMPLES: dict[str, Any] = {
    "github_issues": {
        "summary": "Issues of a repository",
        "value": {
            "name": "Issues of our website",
            "connector": "github_issues",
            "base_url": "https://api.github.com/repos/acme/website",
            "credentials": {"token": "a-token-of-your-own"},
            "every_minutes": 60,
        },
    },
    "rest": {
        "summary": "An API that no other connector knows: its config says where everything is",
        "value": {
            "name": "Our own help desk",
            "connector": "rest",
            "base_url": "https://desk.acme.example",
            "page_size": 100,
            "config": {
                "path": "/v1/tickets",
                "query": {"expand": "customer"},
                "records": "/data/items",
                "fields": {
                    "external_id": "/id",
                    "message": "/body/text",
                    "subject": "/subject",
                    "status": "/state",
                    "tags": "/labels",
                    "customer_id": "/customer/id",
                    "created_at": "/created",
                },
                "attributes": {"plan": "/customer/plan"},
                "changed_at": "/changed",
                "paging": {
                    "style": "cursor",
                    "next": "/meta/next",
                    "parameter": "cursor",
                    "size_parameter": "limit",
                },
                "since": {"parameter": "changed_after", "format": "unix"},
                "status_map": {"new": "open", "done": "resolved"},
                "auth": {"style": "header", "header": "X-Api-Key"},
            },
            "credentials": {"token": "a-token-of-your-own"},
        },
    },
}
"""What a whole body is like, by connector."""


def asked_fields(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `Draft` that a body asks for. Raises `Invalid` for a name that is none."""
    fields = {name: value for name, value in asked.items() if name not in {"credentials", "rate_limit"}}
    if "rate_limit" in asked:
        fields["rate"] = Rate(**asked["rate_limit"]) if asked["rate_limit"] is not None else None
    if "name" in fields:
        try:
            fields["name"] = source_name(fields["name"])
        except ValueError as error:
            raise Invalid("Some fields are not valid; see errors.", [Fault(str(error), "/name")]) from error
    return fields


def asked_draft(asked: Mapping[str, Any]) -> Draft:
    """Return the draft that a body asks for. Raises like `asked_fields`."""
    return Draft(**asked_fields(asked))
