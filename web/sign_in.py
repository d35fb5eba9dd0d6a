"""Signing in, staying signed in, and ending it."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.errors import Fault, Invalid, NotFound, Stale, Unauthenticated
from common.ids import PLATFORM, OrgId
from common.organizations.passwords import MAX_CHARS, MIN_CHARS, hash_password, is_outdated, verify_password
from common.organizations.people import USED
from common.organizations.person import EMAIL_MAX_CHARS, Person, find_person, normal_email
from common.organizations.sessions import Granted
from web.contract import openapi, replies
from web.contract.addresses import client_address, is_within
from web.contract.authentication import ANYONE, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.limits import limit_attempts
from web.contract.places import waiting
from web.contract.services import services
from web.contract.shapes import Shape

blueprint = Blueprint("sign_in", __name__, tag="Sign-in")

TOKEN_MAX_CHARS = 200


class SignIn(ma.Schema):
    """Who signs in; an operator leaves `organization` out."""

    organization = ma.fields.String(
        load_default=None, validate=ma.validate.Length(1, 200), metadata={"example": "acme"}
    )
    email = ma.fields.String(
        required=True, validate=ma.validate.Length(3, EMAIL_MAX_CHARS), metadata={"example": "ada@acme.example"}
    )
    password = ma.fields.String(required=True, validate=ma.validate.Length(1, MAX_CHARS))


class Refresh(ma.Schema):
    """The refresh token that came last."""

    refresh_token = ma.fields.String(required=True, validate=ma.validate.Length(1, TOKEN_MAX_CHARS))


class PasswordByToken(ma.Schema):
    """The token of an invitation or a reset, and the password that the person chooses."""

    token = ma.fields.String(required=True, validate=ma.validate.Length(1, TOKEN_MAX_CHARS))
    password = ma.fields.String(required=True, validate=ma.validate.Length(MIN_CHARS, MAX_CHARS))


class Token(Shape):
    """An access token and how many seconds it lasts; the refresh token gets the next pair, once."""

    access_token = ma.fields.String()
    refresh_token = ma.fields.String(metadata={"description": "lasts 30 days, is good once"})
    token_type = ma.fields.String(metadata={"description": "always Bearer"})
    expires_in = ma.fields.Integer(metadata={"description": "seconds"})


_EXAMPLE = {
    "access_token": "eyJhbGciOiJFZDI1NTE5Ii…",
    "refresh_token": "fwr_01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f.1.…",
    "token_type": "Bearer",
    "expires_in": 900,
}


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
    if person is None or not is_right or not person.may_sign_in:
        raise Unauthenticated("The organization, the e-mail address or the password is wrong.")
    _keep_hash_current(person, asked["password"])
    return _granted(services().sessions.begin(person))


@blueprint.route("/v1/auth/refresh", methods=["POST"])
@blueprint.arguments(Refresh)
@blueprint.response(200, Token, example=_EXAMPLE)
@blueprint.doc(responses=openapi.errors("unauthenticated", "too-many-requests"))
def refresh(asked: dict[str, Any]) -> Response:
    """Get the next pair of tokens. The same token again within 10 seconds gets the same successor.

    Later it ends the session: somebody else has the token too.
    """
    limit_attempts("refresh")
    return _granted(services().sessions.refresh(asked["refresh_token"]))


@blueprint.route("/v1/auth/revoke", methods=["POST"])
@requires(*ANYONE)
@blueprint.response(204, description="The session is over; its tokens are refused within 5 seconds everywhere")
def revoke() -> Response:
    """End this session."""
    services().sessions.end(caller().session_id)
    return Response(status=204)


@blueprint.route("/v1/auth/revoke-all", methods=["POST"])
@requires(*ANYONE)
@blueprint.response(204, description="All are over, this one too")
def revoke_all() -> Response:
    """End all sessions of the person who asks."""
    who = caller()
    services().sessions.end_all(who.org_id, who.user_id)
    return Response(status=204)


@blueprint.route("/v1/auth/password", methods=["POST"])
@blueprint.arguments(PasswordByToken)
@blueprint.response(200, Token, example=_EXAMPLE)
@blueprint.doc(responses=openapi.errors("unauthenticated", "not-found", "too-many-requests"))
def set_password_by_token(asked: dict[str, Any]) -> Response:
    """Join with an invitation, or set a new password after a reset; the token is good once. Signs in."""
    limit_attempts("one-time-token")
    made = services()
    person = made.people.claimed(asked["token"])
    hashed = hash_chosen(asked["password"])
    try:
        changed = made.people.set_password(person, hashed, by=person.user_id)
    except Stale as error:  # somebody used it in the same moment
        raise NotFound(USED) from error
    if not changed.may_sign_in or not _is_open(changed.org_id):
        raise Unauthenticated("The password is set, but the account is disabled. Ask an admin.")
    return _granted(made.sessions.begin(changed))


def hash_chosen(password: str, where: str = "/password") -> str:
    """Hash a password that somebody chose, while others are worked on. Raises `Invalid` or `Unavailable`."""
    try:
        with waiting():  # for a core
            return hash_password(password)
    except ValueError as error:
        raise Invalid("This password can't be used.", [Fault(str(error), where)]) from error


def _keep_hash_current(person: Person, password: str) -> None:
    if person.password_hash is not None and is_outdated(person.password_hash):
        with waiting():
            services().people.rehash(person, hash_password(password))


def _granted(granted: Granted) -> Response:
    return replies.one(
        {
            "access_token": granted.access_token,
            "refresh_token": granted.refresh_token,
            "token_type": "Bearer",
            "expires_in": granted.expires_in_s,
        }
    )


def _person(slug: str | None, address: str) -> Person | None:
    """Find who that is. Whatever is wrong, the same is looked up, so that timing does not tell what."""
    try:
        email = normal_email(address)
    except ValueError:
        email = ""
    return find_person(services().control, _organization(slug), email)


def _organization(slug: str | None) -> OrgId:
    if slug is None:
        return PLATFORM if _is_open(PLATFORM) else _NOWHERE
    organization = services().registry.by_slug(slug)
    return organization.org_id if organization and organization.is_active else _NOWHERE


def _is_open(org_id: OrgId) -> bool:
    """Tell whether anybody of that organization may sign in from where this request comes."""
    if org_id == PLATFORM:
        return is_within(client_address(), services().settings.operator_networks)
    return services().registry.get(org_id).is_active


_NOWHERE = OrgId("")
"""An organization that nobody belongs to."""
