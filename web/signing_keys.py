"""The keys that tokens are signed with: they rotate by themselves; one that leaked is withdrawn by an operator."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.clock import rfc3339
from common.organizations.signing_keys import SigningKey
from web.contract import paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of

blueprint = Blueprint("signing keys", __name__, tag="Operators: signing keys")

_HERE = "/v1/operations/signing-keys"


class SigningKeySchema(Shape):
    """A key of the set."""

    id = ma.fields.String(metadata={"description": "its `kid`"})
    signs_from = instant()


_EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "signs_from": "2026-01-31T09:30:00.000Z",
}


@blueprint.route(_HERE, methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(
    200, page_of(SigningKeySchema, "SigningKeyPage"), example={"items": [_EXAMPLE], "next_cursor": None}
)
def list_signing_keys(query: dict[str, Any]) -> Response:
    """List the keys: those that verify, the one that signs, and the one that will."""
    return paging.part(caller(), query, [_shown(one) for one in services().signing_keys.all()])


@blueprint.route(_HERE, methods=["POST"])
@requires("operator")
@blueprint.response(201, SigningKeySchema, example=_EXAMPLE)
def rotate_signing_keys() -> Response:
    """Make the next key, which signs in ten minutes; nobody is signed out. Until then there is only one."""
    services().audit.note(actor(), "signing-key.rotate", "next")
    return replies.one(_shown(services().signing_keys.rotate()), status=201)


@blueprint.route(f"{_HERE}/<id:key_id>", methods=["DELETE"])
@requires("operator")
@blueprint.response(204, description="What it signed is refused within 5 seconds; sessions go on by their refresh")
def withdraw_signing_key(key_id: str) -> Response:
    """Withdraw a key that leaked; another signs at once."""
    services().audit.note(actor(), "signing-key.withdraw", key_id)
    services().signing_keys.withdraw(key_id)
    return Response(status=204)


def _shown(key: SigningKey) -> dict[str, Any]:
    return {"id": key.kid, "signs_from": rfc3339(key.signs_from)}
