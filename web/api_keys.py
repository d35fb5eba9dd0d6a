"""API keys: credentials of machines, made and revoked by people."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.clock import rfc3339
from common.errors import Fault, Forbidden, Invalid
from common.jobs.idempotency import Answer
from common.organizations.api_keys import NAME_MAX_CHARS, SCOPES, ApiKey
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of

blueprint = Blueprint("api keys", __name__, tag="API keys")


class NewApiKey(ma.Schema):
    """What a key may do, and until when."""

    name = ma.fields.String(
        required=True, validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata={"example": "nightly import"}
    )
    scopes = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(SCOPES)),
        required=True,
        validate=ma.validate.Length(1, len(SCOPES)),
        metadata={"example": ["tickets:write", "jobs:read"]},
    )
    role = ma.fields.String(
        load_default="member",
        validate=ma.validate.OneOf(["admin", "member"]),
        metadata={"description": "whose rights it has, at most its maker's"},
    )
    expires_at = Instant(load_default=None, metadata={"description": "when it ends; never, if left out"})


class ApiKeySchema(Shape):
    """A key without its secret."""

    id = ma.fields.String()
    name = ma.fields.String()
    role = ma.fields.String()
    scopes = ma.fields.List(ma.fields.String())
    created_by = ma.fields.String()
    created_at = instant()
    expires_at = instant(allow_none=True)
    last_used_at = ma.fields.String(
        allow_none=True, metadata={"format": "date-time", "description": "true to a minute"}
    )


class MadeApiKey(ApiKeySchema):
    """A new key with the token that is shown this once."""

    token = ma.fields.String(metadata={"description": "send it as Authorization: Bearer; it is not shown again"})


_EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "name": "nightly import",
    "role": "member",
    "scopes": ["tickets:write", "jobs:read"],
    "created_by": "01920f3c-8a4e-7b2f-8c1d-000000000001",
    "created_at": "2026-01-31T09:30:00.000Z",
    "expires_at": None,
    "last_used_at": None,
}


@blueprint.route("/v1/api-keys", methods=["POST"])
@requires("admin", "member")
@blueprint.arguments(NewApiKey)
@blueprint.response(201, MadeApiKey, example=_EXAMPLE | {"token": "fwk_01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f_…"})
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def make_api_key(asked: dict[str, Any]) -> Response:
    """Make a key. Its token is shown in this answer only, and not when the request is repeated."""
    who = caller()
    if who.role != "admin" and asked["role"] == "admin":
        raise Forbidden("Only an admin makes a key with an admin's rights.")
    if asked["expires_at"] is not None and asked["expires_at"] <= services().clock.now():
        raise Invalid("A key can't end in the past.", [Fault("must be in the future", "/expires_at")])
    made, token = services().api_keys.make(
        who.org_id,
        asked["name"],
        asked["role"],
        scopes=sorted(set(asked["scopes"])),
        expires_at=asked["expires_at"],
        by=who.user_id,
        once=once("api_keys.make", scope=who.org_id, request_parts=_asked(asked), answer=_made, shows_secret=True),
    )
    return replies.one({**_shown(made), "token": token}, status=201, headers=_made((made, token)).headers)


@blueprint.route("/v1/api-keys", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(ApiKeySchema, "ApiKeyPage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_api_keys(query: dict[str, Any]) -> Response:
    """List the organization's keys, the oldest first."""
    who = caller()
    after = paging.position(who, query, paging.read_id) or ""
    found = services().api_keys.page(who.org_id, after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_shown, place=lambda one: one.key_id)


@blueprint.route("/v1/api-keys/<id:key_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, ApiKeySchema, example=_EXAMPLE)
def get_api_key(key_id: str) -> Response:
    """Show a key."""
    return replies.one(_shown(services().api_keys.get(caller().org_id, key_id)))


@blueprint.route("/v1/api-keys/<id:key_id>", methods=["DELETE"])
@requires("admin", "member")
@blueprint.response(204, description="It is refused within 5 seconds everywhere")
def revoke_api_key(key_id: str) -> Response:
    """Revoke a key; a member only those that they made."""
    who = caller()
    key = services().api_keys.get(who.org_id, key_id)
    if who.role != "admin" and key.created_by != who.user_id:
        raise Forbidden("Only an admin revokes a key that somebody else made.")
    services().api_keys.revoke(who.org_id, key_id, by=who.user_id)
    return Response(status=204)


def _made(made: tuple[ApiKey, str]) -> Answer:
    return Answer(201, None, {"Location": f"/v1/api-keys/{made[0].key_id}"})


def _asked(asked: dict[str, Any]) -> list[Any]:
    ends_at = asked["expires_at"]
    return [asked["name"], asked["role"], sorted(set(asked["scopes"])), rfc3339(ends_at) if ends_at else None]


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "role": key.role,
        "scopes": list(key.scopes),
        "created_by": key.created_by,
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(key.expires_at) if key.expires_at is not None else None,
        "last_used_at": rfc3339(key.last_used_at) if key.last_used_at is not None else None,
    }
