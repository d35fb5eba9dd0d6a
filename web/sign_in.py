"""Signing in: an organization's slug, an address and a password for a token of fifteen minutes."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.errors import Unauthenticated
from common.ids import PLATFORM, OrgId
from common.organizations.passwords import MAX_CHARS, verify_password
from common.organizations.people import EMAIL_MAX_CHARS, Person, find_person, normal_email
from web.contract import openapi, replies
from web.contract.addresses import client_address, is_within
from web.contract.json_bodies import Blueprint
from web.contract.limits import limit_attempts
from web.contract.places import waiting
from web.contract.services import services
from web.contract.shapes import Shape

blueprint = Blueprint("sign_in", __name__, tag="Sign-in")


class SignIn(ma.Schema):
    """Who signs in; an operator leaves `organization` out."""

    organization = ma.fields.String(
        load_default=None, validate=ma.validate.Length(1, 200), metadata={"example": "acme"}
    )
    email = ma.fields.String(
        required=True, validate=ma.validate.Length(3, EMAIL_MAX_CHARS), metadata={"example": "ada@acme.example"}
    )
    password = ma.fields.String(required=True, validate=ma.validate.Length(1, MAX_CHARS))


class Token(Shape):
    """An access token and how many seconds it lasts."""

    access_token = ma.fields.String()
    token_type = ma.fields.String(metadata={"description": "always Bearer"})
    expires_in = ma.fields.Integer(metadata={"description": "seconds"})


_EXAMPLE = {"access_token": "eyJhbGciOiJFZDI1NTE5Ii…", "token_type": "Bearer", "expires_in": 900}


@blueprint.route("/v1/auth/token", methods=["POST"])
@blueprint.arguments(SignIn)
@blueprint.response(200, Token, example=_EXAMPLE)
@blueprint.doc(responses=openapi.errors("unauthenticated", "too-many-requests"))
def sign_in(asked: dict[str, Any]) -> Response:
    """Sign in. A wrong organization, address or password are the same 401, in the same time."""
    limit_attempts("sign-in", f"{asked['organization']} {asked['email'].casefold()}")
    person = _person(asked["organization"], asked["email"])
    with waiting():  # for a core, while others are worked on
        is_right = verify_password(person.password_hash if person else None, asked["password"])
    if person is None or not is_right:
        raise Unauthenticated("The organization, the e-mail address or the password is wrong.")
    token, lasts_s = services().tokens.issue(org_id=person.org_id, user_id=person.user_id, role=person.role)
    return replies.one({"access_token": token, "token_type": "Bearer", "expires_in": lasts_s})


def _person(slug: str | None, address: str) -> Person | None:
    """Find who that is. Whatever is wrong, the same is looked up, so that timing does not tell what."""
    try:
        email = normal_email(address)
    except ValueError:
        email = ""
    return find_person(services().control, _organization(slug), email)


def _organization(slug: str | None) -> OrgId:
    if slug is None:
        networks = services().settings.operator_networks
        return PLATFORM if is_within(client_address(), networks) else _NOWHERE
    organization = services().registry.by_slug(slug)
    return organization.org_id if organization else _NOWHERE


_NOWHERE = OrgId("")
"""An organization that nobody belongs to."""
