"""People of an organization: made or invited by an admin, changed, removed; and their passwords."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.caller import Caller
from common.clock import rfc3339
from common.errors import Conflict, Fault, Forbidden, Invalid, Stale
from common.ids import PLATFORM, OrgId
from common.jobs.idempotency import Answer
from common.organizations.one_time import OneTime
from common.organizations.passwords import MAX_CHARS, MIN_CHARS, verify_password
from common.organizations.person import ADMINS, EMAIL_MAX_CHARS, NAME_MAX_CHARS, Person, normal_email
from web.contract import idempotency, openapi, paging, preconditions, replies
from web.contract.authentication import ANYONE, caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.limits import limit_attempts
from web.contract.paging import PageQuery
from web.contract.places import waiting
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of
from web.sign_in import hash_chosen

blueprint = Blueprint("users", __name__, tag="People")

ROLES = ("admin", "member", "operator")


class UsersQuery(PageQuery):
    """Which people to list."""

    role = ma.fields.String(load_default=None, validate=ma.validate.OneOf(ROLES))


class NewUser(ma.Schema):
    """A person; without a password they are invited, and the answer carries the token to join with."""

    email = ma.fields.String(
        required=True, validate=ma.validate.Length(3, EMAIL_MAX_CHARS), metadata={"example": "bob@acme.example"}
    )
    name = ma.fields.String(load_default="", validate=ma.validate.Length(0, NAME_MAX_CHARS))
    role = ma.fields.String(
        load_default=None,
        validate=ma.validate.OneOf(ROLES),
        metadata={"description": "member, if left out; operators make operators"},
    )
    password = ma.fields.String(load_default=None, validate=ma.validate.Length(MIN_CHARS, MAX_CHARS))


class UserChange(ma.Schema):
    """What to change; what is left out stays."""

    name = ma.fields.String(validate=ma.validate.Length(0, NAME_MAX_CHARS))
    role = ma.fields.String(validate=ma.validate.OneOf(ROLES))
    state = ma.fields.String(
        validate=ma.validate.OneOf(["active", "disabled"]),
        metadata={"description": "a disabled person keeps everything and can't sign in"},
    )


class PasswordChange(ma.Schema):
    """One's own: both passwords. Another's, as an admin: neither; the answer carries a token to set one with."""

    current_password = ma.fields.String(load_default=None, validate=ma.validate.Length(1, MAX_CHARS))
    new_password = ma.fields.String(load_default=None, validate=ma.validate.Length(MIN_CHARS, MAX_CHARS))


class UserSchema(Shape):
    """A person."""

    id = ma.fields.String()
    email = ma.fields.String()
    name = ma.fields.String()
    role = ma.fields.String()
    state = ma.fields.String(metadata={"description": "active, invited or disabled"})
    created_at = instant()


class OneTimeSchema(Shape):
    """A token that sets one password at `POST /v1/auth/password`."""

    token = ma.fields.String(metadata={"description": "shown this once; hand it to the person"})
    expires_at = instant()


class AddedUser(UserSchema):
    """A new person; who is invited has a token to join with."""

    invitation = ma.fields.Nested(OneTimeSchema, metadata={"sometimes": True})


class ResetSchema(Shape):
    """A token for somebody who forgot the password."""

    reset = ma.fields.Nested(OneTimeSchema)


EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-000000000002",
    "email": "bob@acme.example",
    "name": "Bob",
    "role": "member",
    "state": "active",
    "created_at": "2026-01-31T09:30:00.000Z",
}
TOKEN_EXAMPLE = {
    "token": "fwo_01920f3c-8a4e-7b2f-8c1d-000000000002.…",
    "expires_at": "2026-02-07T09:30:00.000Z",
}


@blueprint.route("/v1/users", methods=["POST"])
@requires(*ADMINS)
@blueprint.arguments(NewUser)
@blueprint.response(201, AddedUser, example=EXAMPLE | {"state": "invited", "invitation": TOKEN_EXAMPLE})
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def add_user(asked: dict[str, Any]) -> Response:
    """Add a person with a password, or invite one: hand them the token, it is good for seven days."""
    who = caller()
    role = _role(who, asked["role"] or ("operator" if who.org_id == PLATFORM else "member"))
    password = asked["password"]
    used = once(
        "users.add",
        scope=who.org_id,
        request_parts=asked,
        answer=lambda made: Answer(201, shown(made[0]), _location(made[0])),
        shows_secret=password is None,
    )
    person, invitation = services().people.add(
        who.org_id,
        email=_email(asked["email"]),
        name=asked["name"],
        role=role,
        password_hash=hash_chosen(password) if password is not None else None,
        by=who.user_id,
        once=used,
    )
    extra = {"invitation": invitation.shown()} if invitation is not None else {}
    return replies.one({**shown(person), **extra}, status=201, headers=_location(person), version=person.version)


@blueprint.route("/v1/users", methods=["GET"])
@requires(*ANYONE)
@blueprint.arguments(UsersQuery, location="query")
@blueprint.response(200, page_of(UserSchema, "UserPage"), example={"items": [EXAMPLE], "next_cursor": None})
def list_users(query: dict[str, Any]) -> Response:
    """List the people of the organization, in the order in which they came."""
    who = caller()
    after = paging.position(who, query, paging.read_id) or ""
    found = services().people.page(who.org_id, after=after, limit=query["limit"] + 1, role=query["role"])
    return paging.page(who, query, found, dump=shown, place=lambda one: one.user_id)


@blueprint.route("/v1/users/<id:user_id>", methods=["GET"])
@requires(*ANYONE)
@blueprint.response(200, UserSchema, example=EXAMPLE)
def get_user(user_id: str) -> Response:
    """Show a person."""
    person = services().people.get(caller().org_id, user_id)
    return replies.one(shown(person), version=person.version)


@blueprint.route("/v1/users/<id:user_id>", methods=["PATCH"])
@requires(*ANYONE)
@blueprint.arguments(UserChange)
@blueprint.response(200, UserSchema, example=EXAMPLE | {"role": "admin"})
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def change_user(asked: dict[str, Any], user_id: str) -> Response:
    """Change a person; oneself only the name. It counts within 5 seconds, also for who is signed in."""
    who = caller()

    def attempt() -> Person:
        was = services().people.get(who.org_id, user_id)
        if who.role not in ADMINS and (who.user_id != user_id or set(asked) - {"name"}):
            raise Forbidden("Only an admin may do this; your own name you may change.")
        preconditions.matches(was.version)
        if "role" in asked:
            _role(who, asked["role"])
        if asked.get("state") == "active" and was.password_hash is None:
            raise Invalid(
                "This person has no password yet. Issue a reset instead.", [Fault("has not joined", "/state")]
            )
        return services().people.change(was, asked, by=who.user_id) if asked else was

    person = preconditions.settled(attempt)
    return replies.one(shown(person), version=person.version)


@blueprint.route("/v1/users/<id:user_id>", methods=["DELETE"])
@requires(*ADMINS)
@blueprint.response(204, description="The person is gone; their sessions end within 5 seconds everywhere")
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def remove_user(user_id: str) -> Response:
    """Remove a person. The last active admin can't be removed."""
    who = caller()

    def attempt() -> None:
        was = services().people.get(who.org_id, user_id)
        preconditions.matches(was.version)
        services().people.remove(was, by=who.user_id)

    preconditions.settled(attempt)
    return Response(status=204)


@blueprint.route("/v1/users/<id:user_id>/password", methods=["POST"])
@requires(*ANYONE)
@blueprint.arguments(PasswordChange)
@blueprint.response(200, ResetSchema, example={"reset": TOKEN_EXAMPLE}, description="A token for somebody else")
@blueprint.alt_response(204, description="One's own is changed; every other session of one's own is over")
@blueprint.doc(responses=openapi.errors("conflict", "too-many-requests"))
def change_password(asked: dict[str, Any], user_id: str) -> Response:
    """Change one's own password, or as an admin issue a token with which somebody sets a new one."""
    who = caller()
    person = services().people.get(who.org_id, user_id)
    if who.user_id == user_id:
        _change_own(who, person, asked)
        return Response(status=204)
    if who.role not in ADMINS:
        raise Forbidden("Only an admin may do this for somebody else.")
    if asked["current_password"] is not None or asked["new_password"] is not None:
        raise Invalid(
            "Nobody chooses another person's password: send {} and hand the token over.",
            [Fault("must be left out", "/new_password")],
        )
    return replies.one({"reset": issued(user_id, who.org_id).shown()})


def issued(user_id: str, org_id: OrgId) -> OneTime:
    """Issue a token for that person, who may be changed by others at the same time."""
    people = services().people
    return preconditions.settled(lambda: people.issue_reset(people.get(org_id, user_id), by=caller().user_id))


def shown(person: Person) -> dict[str, Any]:
    """Return *person* as the API shows people."""
    return {
        "id": person.user_id,
        "email": person.email,
        "name": person.name,
        "role": person.role,
        "state": person.state,
        "created_at": rfc3339(person.created_at),
    }


def _change_own(who: Caller, person: Person, asked: dict[str, Any]) -> None:
    limit_attempts("sign-in", f"password {who.user_id}")
    missing = [name for name in ("current_password", "new_password") if asked[name] is None]
    if missing:
        raise Invalid(
            "One's own password is changed with both.", [Fault("is needed", f"/{name}") for name in missing]
        )
    with waiting():  # for a core, while others are worked on
        is_right = verify_password(person.password_hash, asked["current_password"])
    if not is_right:
        raise Invalid("The current password is wrong.", [Fault("is wrong", "/current_password")])
    hashed = hash_chosen(asked["new_password"], "/new_password")
    try:
        services().sessions.change_password(person, hashed, keeps=who.session_id)
    except Stale as error:
        raise Conflict(error.detail) from error


def _role(who: Caller, role: str) -> Any:
    """Return *role* if the caller may give it. An operator belongs to the platform, everybody else to a tenant."""
    if (role == "operator") != (who.org_id == PLATFORM):
        raise Invalid("This organization has no such role.", [Fault("is no role here", "/role")])
    return role


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except ValueError as error:
        raise Invalid("This is no e-mail address.", [Fault(str(error), "/email")]) from error


def _location(person: Person) -> dict[str, str]:
    return {"Location": f"/v1/users/{person.user_id}"}
