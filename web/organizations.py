"""Organizations: signing up."""

import hashlib
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
from common.organizations.passwords import MAX_CHARS, MIN_CHARS, hash_password
from common.organizations.people import EMAIL_MAX_CHARS, normal_email
from common.organizations.provision import ProvisionOrganization
from common.organizations.sign_up import NAME_MAX_CHARS, Reservation, is_free_to_ask, reserve, slug_of
from web.contract import idempotency, openapi, replies
from web.contract.authentication import identify
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.limits import limit_attempts
from web.contract.places import waiting
from web.contract.services import services
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump

blueprint = Blueprint("organizations", __name__, tag="Organizations")


class Admin(ma.Schema):
    """The first person of a new organization."""

    email = ma.fields.String(
        required=True, validate=ma.validate.Length(3, EMAIL_MAX_CHARS), metadata={"example": "ada@acme.example"}
    )
    password = ma.fields.String(required=True, validate=ma.validate.Length(MIN_CHARS, MAX_CHARS))


class SignUp(ma.Schema):
    """A new organization. Without sign-in it is `free` and `pooled`."""

    name = ma.fields.String(
        required=True, validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata={"example": "Acme"}
    )
    slug = ma.fields.String(load_default=None, validate=ma.validate.Length(2, 77), metadata={"example": "acme"})
    admin = ma.fields.Nested(Admin, required=True)
    isolation = ma.fields.String(load_default="pooled", validate=ma.validate.OneOf(["pooled", "dedicated"]))
    tier = ma.fields.String(load_default="free", validate=ma.validate.OneOf(["free", "standard", "enterprise"]))


class SignedUp(JobSchema):
    """The accepted job, and a token that reads it."""

    job_token = ma.fields.String(
        metadata={
            "description": "reads this one job for an hour; given once, and not to operators",
            "sometimes": True,
        }
    )


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
    slug, email = _slug(asked), _email(asked["admin"]["email"])
    with waiting():  # for a core, while others are worked on
        password_hash = hash_password(asked["admin"]["password"])
    reservation = Reservation(
        org_id=OrgId(new_id()),
        job_id=JobId(new_id()),
        name=_storable(asked["name"]),
        slug=slug,
        tier=asked["tier"],
        admin_email=email,
        admin_password_hash=password_hash,
    )
    record = _accept(reservation, operator, asked)
    token = services().tokens.issue_job_token(record.org_id, record.id)
    body = dump(record) if operator else {**dump(record), "job_token": token}
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
        shows_secret=operator is None,
    )

    def also(session: ClientSession) -> None:
        reserve(services().control, session, reservation, services().clock)

    return services().submit(
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
    if asked["isolation"] == "dedicated":
        raise Invalid(
            "Dedicated placement is not offered by this version.", [Fault("must be pooled", "/isolation")]
        )


def _slug(asked: dict[str, Any]) -> str:
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


def _storable(name: str) -> str:
    if not name.strip() or "\x00" in name:
        raise Invalid("This name can't be used.", [Fault("must show something, and hold no NUL", "/name")])
    return name
