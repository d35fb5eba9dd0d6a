"""Signing up: a new organization with its first admin; or an operator makes one and hands it over."""

import hashlib
from collections.abc import Mapping
from typing import Any

import marshmallow as ma
import orjson
from flask import Response, g, request
from pymongo.client_session import ClientSession

from common.caller import Caller
from common.errors import Fault, Forbidden, Invalid
from common.ids import JobId, OrgId, new_id
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.organizations.one_time import OneTime
from common.organizations.passwords import MAX_CHARS, MIN_CHARS
from common.organizations.people import INVITATION_LASTS
from common.organizations.person import EMAIL_MAX_CHARS, normal_email
from common.organizations.provision import ProvisionOrganization
from common.organizations.sign_up import Reservation, reserve
from common.organizations.slugs import NAME_MAX_CHARS, is_free_to_ask, slug_of
from web.contract import idempotency, openapi, replies
from web.contract.authentication import identify
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.limits import limit_attempts
from web.contract.services import services
from web.contract.shapes import Shape, instant
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump
from web.sign_in import hash_chosen

blueprint = Blueprint("sign_up", __name__, tag="Organizations")


class Admin(ma.Schema):
    """The first person of a new organization; an operator may leave the password out and hand over a token."""

    email = ma.fields.String(
        required=True, validate=ma.validate.Length(3, EMAIL_MAX_CHARS), metadata={"example": "ada@acme.example"}
    )
    password = ma.fields.String(load_default=None, validate=ma.validate.Length(MIN_CHARS, MAX_CHARS))


class SignUp(ma.Schema):
    """A new organization. Without sign-in it is `free` and `pooled`."""

    name = ma.fields.String(
        required=True, validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata={"example": "Acme"}
    )
    slug = ma.fields.String(load_default=None, validate=ma.validate.Length(2, 77), metadata={"example": "acme"})
    admin = ma.fields.Nested(Admin, required=True)
    isolation = ma.fields.String(load_default="pooled", validate=ma.validate.OneOf(["pooled", "dedicated"]))
    tier = ma.fields.String(load_default="free", validate=ma.validate.OneOf(["free", "standard", "enterprise"]))


class Invitation(Shape):
    """A token that sets one password at `POST /v1/auth/password`, once the organization is there."""

    token = ma.fields.String(metadata={"description": "shown this once; hand it to the person"})
    expires_at = instant()


class SignedUp(JobSchema):
    """The accepted job, and a token that reads it."""

    job_token = ma.fields.String(
        metadata={
            "description": "reads this one job for an hour; given once, and not to operators",
            "sometimes": True,
        }
    )
    invitation = ma.fields.Nested(Invitation, metadata={"sometimes": True})


_EXAMPLE = ACCEPTED_EXAMPLE | {"kind": ProvisionOrganization.name, "job_token": "eyJhbGciOiJFZDI1NTE5Ii…"}


@blueprint.route("/v1/organizations", methods=["POST"])
@blueprint.arguments(SignUp)
@blueprint.response(202, SignedUp, example=_EXAMPLE)
@blueprint.doc(
    parameters=[idempotency.PARAMETER],
    responses=openapi.errors("unauthenticated", "forbidden", "conflict", "too-many-requests"),
)
def sign_up(asked: dict[str, Any]) -> Response:
    """Make an organization with its first admin. The answer is a job; both exist once it has succeeded."""
    limit_attempts("sign-up")
    operator = _operator()
    _refuse_more_than_may_be_asked(asked, operator)
    slug, email, name = slug_asked(asked), _email(asked["admin"]["email"]), storable(asked["name"])
    password, admin_id = asked["admin"]["password"], new_id()
    invitation = None
    if password is None:
        invitation = OneTime.make(admin_id, until=services().clock.now() + INVITATION_LASTS)
    reservation = Reservation(
        org_id=OrgId(new_id()),
        job_id=JobId(new_id()),
        name=name,
        slug=slug,
        tier=asked["tier"],
        admin_id=admin_id,
        admin_email=email,
        admin_password_hash=hash_chosen(password, "/admin/password") if password is not None else None,
        admin_claim=invitation.kept if invitation is not None else None,
        by=operator.user_id if operator is not None else "sign-up",
    )
    record = _accept(reservation, operator, asked)
    body = dump(record)
    if operator is None:
        body["job_token"] = services().tokens.issue_job_token(record.org_id, record.id)
    if invitation is not None:
        body["invitation"] = invitation.shown()
    return replies.one(body, status=202, headers=accepted_headers(record))


def _accept(reservation: Reservation, operator: Caller | None, asked: dict[str, Any]) -> JobRecord:
    caller = operator or Caller(
        org_id=reservation.org_id,
        user_id="sign-up",
        role="admin",
        request_id=g.request_id,
        traceparent=g.traceparent,
    )
    used = once(
        "organizations.sign_up",
        scope=hashlib.sha256(orjson.dumps([reservation.slug, reservation.admin_email])).hexdigest(),
        request_parts=asked,
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
        shows_secret=operator is None or reservation.admin_claim is not None,
    )
    made = services()
    stats = made.placing.measure() if asked["isolation"] == "dedicated" else None

    def also(session: ClientSession) -> None:
        placement = (
            made.placing.pooled(reservation.org_id) if stats is None else made.placing.dedicated(session, stats)
        )
        reserve(made.control, session, reservation, placement, made.clock)

    return made.submit(
        caller,
        ProvisionOrganization(org_id=reservation.org_id, slug=reservation.slug),
        job_id=reservation.job_id,
        once=used,
        also=also,
    )


def _operator() -> Caller | None:
    """Return the operator who asks, or `None` where anybody may. Raises `Forbidden` where sign-up is closed."""
    if "Authorization" in request.headers:
        caller = identify()
        if caller.role == "operator":
            return caller
        if caller.role == "job":
            raise Forbidden("This token reads one job.")
    if services().settings.sign_up == "closed":
        raise Forbidden("Sign-up is closed here: an operator makes organizations.")
    return None


def _refuse_more_than_may_be_asked(asked: dict[str, Any], operator: Caller | None) -> None:
    if operator is None and (asked["tier"] != "free" or asked["isolation"] != "pooled"):
        raise Forbidden("A sign-up is free and pooled; an operator gives more.")
    if operator is None and asked["admin"]["password"] is None:
        raise Invalid("Choose a password.", [Fault("is needed", "/admin/password")])


def slug_asked(asked: Mapping[str, Any]) -> str:
    """Return the slug that is asked for, or one made of the name. Raises `Invalid` if it can't be had."""
    slug = asked["slug"] if asked["slug"] is not None else slug_of(asked["name"])
    if slug is None:
        raise Invalid("No slug can be made of this name; give one.", [Fault("is needed for this name", "/slug")])
    if not is_free_to_ask(slug):
        raise Invalid(
            "This slug can't be had.",
            [Fault("2 to 77 of a-z and 0-9 with single hyphens between, and no reserved word", "/slug")],
        )
    return slug


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except ValueError as error:
        raise Invalid("This is no e-mail address.", [Fault(str(error), "/admin/email")]) from error


def storable(name: str) -> str:
    """Return *name* if it shows something. Raises `Invalid`."""
    if not name.strip() or "\x00" in name:
        raise Invalid("This name can't be used.", [Fault("must show something, and hold no NUL", "/name")])
    return name
