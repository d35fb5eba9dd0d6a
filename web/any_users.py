"""People of all organizations by the domain of their address, for those who run the platform."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.organizations.person import Person, normal_email
from web.contract import openapi, paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import page_of
from web.users import EXAMPLE, TOKEN_EXAMPLE, ResetSchema, UserSchema, issued, shown

blueprint = Blueprint("any users", __name__, tag="Operators: people")


class DomainQuery(PageQuery):
    """Which domain."""

    email_domain = ma.fields.String(
        required=True,
        validate=[ma.validate.Length(1, 190), ma.validate.ContainsNoneOf("\0@", error="Must be a domain.")],
        metadata={"example": "acme.example"},
    )


class AnyUserSchema(UserSchema):
    """A person with the organization."""

    org_id = ma.fields.String()


@blueprint.route("/v1/operations/users", methods=["GET"])
@requires("operator")
@blueprint.arguments(DomainQuery, location="query")
@blueprint.response(
    200,
    page_of(AnyUserSchema, "AnyUserPage"),
    example={
        "items": [EXAMPLE | {"org_id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f"}],
        "next_cursor": None,
    },
)
def list_any_users(query: dict[str, Any]) -> Response:
    """List the people of all organizations whose address is of that domain."""
    who = caller()
    after = paging.position(who, query, paging.read_id) or ""
    found = services().people.of_domain(_domain(query["email_domain"]), after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_shown, place=lambda one: one.user_id)


@blueprint.route("/v1/operations/users/<id:user_id>/password", methods=["POST"])
@requires("operator")
@blueprint.response(200, ResetSchema, example={"reset": TOKEN_EXAMPLE})
@blueprint.doc(responses=openapi.errors("conflict"))
def reset_any_password(user_id: str) -> Response:
    """Issue a token with which somebody of any organization sets a new password, as a last admin who forgot it."""
    person = services().people.of_anyone(user_id)
    services().audit.note(actor(), "user.reset", user_id)
    return replies.one({"reset": issued(user_id, person.org_id).shown()})


def _domain(text: str) -> str:
    """Return *text* as domains are kept; what can't be one is nobody's."""
    try:
        return normal_email(f"x@{text}").partition("@")[2]
    except ValueError:
        return ""


def _shown(person: Person) -> dict[str, Any]:
    return {**shown(person), "org_id": person.org_id}
