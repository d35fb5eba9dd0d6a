"""The public keys of access tokens, for whoever checks our tokens themselves (RFC 7517)."""

from typing import Any

import marshmallow as ma
import orjson
from flask import Response, request

from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.contract.shapes import Shape

blueprint = Blueprint("jwks", __name__, tag="Sign-in")

FRESH_S = 300
"""How long a copy may be kept: half of what a key is shown before it signs."""


class Key(Shape):
    """A public key (RFC 8037)."""

    kid = ma.fields.String(metadata={"description": "what a token's header names"})
    kty = ma.fields.String()
    crv = ma.fields.String()
    x = ma.fields.String()
    use = ma.fields.String()
    alg = ma.fields.String()


class KeySet(Shape):
    """All keys that our tokens are signed with now, were lately, or will be soon."""

    keys = ma.fields.List(ma.fields.Nested(Key))


_EXAMPLE: dict[str, Any] = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
            "use": "sig",
            "alg": "Ed25519",
        }
    ]
}


@blueprint.route("/.well-known/jwks.json", methods=["GET"])
@blueprint.response(200, KeySet, example=_EXAMPLE)
def show_key_set() -> Response:
    """Show the public keys. They rotate: look again when a token names a key that you do not know."""
    body = orjson.dumps({"keys": [one.public() for one in services().signing_keys.all()]})
    response = Response(body, content_type="application/json")
    response.headers["Cache-Control"] = f"public, max-age={FRESH_S}"
    response.add_etag()
    response.make_conditional(request)
    return response
