"""Deleting an organization, and restoring it while it is kept."""

from contextlib import suppress
from typing import Any

import marshmallow as ma
from flask import Response, g, request

from common.caller import Caller
from common.errors import Conflict, Fault, Invalid, NotFound, Unauthenticated
from common.ids import PLATFORM, OrgId
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.organizations.delete import DeleteOrganization
from common.organizations.passwords import MAX_CHARS, verify_password
from common.organizations.person import EMAIL_MAX_CHARS, Person, find_person, normal_email
from common.organizations.restore import RestoreOrganization
from common.tenancy.registry import ABSENT, Organization
from web.contract import idempotency, openapi, preconditions, replies
from web.contract.authentication import actor, caller, identify, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.limits import limit_attempts
from web.contract.places import waiting
from web.contract.services import services
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump
from web.organizations import own

blueprint = Blueprint("deletion", __name__, tag="Organizations")


class Restoration(ma.Schema):
    """An admin who could sign in before; operators send their token and leave both out."""

    email = ma.fields.String(load_default=None, validate=ma.validate.Length(3, EMAIL_MAX_CHARS))
    password = ma.fields.String(load_default=None, validate=ma.validate.Length(1, MAX_CHARS))


class PlatformJob(JobSchema):
    """The accepted job, which is the platform's; and a token that reads it."""

    job_token = ma.fields.String(
        metadata={"description": "reads this one job for an hour; not given to operators", "sometimes": True}
    )


_EXAMPLE = ACCEPTED_EXAMPLE | {"job_token": "eyJhbGciOiJFZDI1NTE5Ii…"}


@blueprint.route("/v1/organizations/<id:org_id>", methods=["DELETE"])
@requires("admin", "operator")
@blueprint.response(202, PlatformJob, example=_EXAMPLE | {"kind": DeleteOrganization.name})
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def delete_organization(org_id: str) -> Response:
    """Delete an organization: nobody comes in and nothing runs from now on. It can be restored for 30 days."""

    def attempt() -> JobRecord:
        was = own(org_id)
        preconditions.matches(was.version)
        _note("organization.delete", org_id)
        return services().life.delete(was, caller())

    return _accepted(preconditions.settled(attempt), caller())


@blueprint.route("/v1/organizations/<id:org_id>/restore", methods=["POST"])
@blueprint.arguments(Restoration)
@blueprint.response(202, PlatformJob, example=_EXAMPLE | {"kind": RestoreOrganization.name})
@blueprint.doc(
    parameters=[idempotency.PARAMETER],
    responses=openapi.errors("unauthenticated", "forbidden", "conflict", "too-many-requests"),
)
def restore_organization(asked: dict[str, Any], org_id: str) -> Response:
    """Restore a deleted organization: as an operator, or with the e-mail address and password of an admin."""

    def attempt() -> JobRecord:
        was, who = _deleted(asked, OrgId(org_id))
        g.caller = who
        used = once(
            "organization.restore",
            scope=org_id,
            request_parts=asked,
            answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
            shows_secret=who.role != "operator",
        )
        _note("organization.restore", org_id)
        return services().life.restore(was, who, once=used)

    return _accepted(preconditions.settled(attempt), g.caller)


def _deleted(asked: dict[str, Any], org_id: OrgId) -> tuple[Organization, Caller]:
    """Return the organization to restore, and who may. Raises `Unauthenticated`, `NotFound` or `Conflict`."""
    if "Authorization" in request.headers:
        who = identify()
        if who.role == "operator":
            return services().registry.get(org_id, fresh=True), who
        if who.org_id != org_id:
            raise NotFound(ABSENT)
        raise Conflict("The organization is not deleted.")
    if asked["email"] is None or asked["password"] is None:
        missing = [name for name in ("email", "password") if asked[name] is None]
        raise Invalid("Say who you are.", [Fault("is needed without a token", f"/{name}") for name in missing])
    limit_attempts("sign-in", f"restore {org_id} {asked['email'].casefold()}")
    was: Organization | None = None
    person: Person | None = None
    with suppress(NotFound, ValueError):
        was = services().registry.get(org_id, fresh=True)
        person = find_person(services().control, org_id, normal_email(asked["email"]))
    with waiting():  # for a core, while others are worked on
        is_right = verify_password(person.password_hash if person else None, asked["password"])
    if was is None or person is None or not is_right or not person.may_sign_in or person.role != "admin":
        raise Unauthenticated("The organization, the e-mail address or the password is wrong.")
    who = Caller(
        org_id=org_id,
        user_id=person.user_id,
        role="admin",
        request_id=g.request_id,
        traceparent=g.traceparent,
    )
    return was, who


def _note(action: str, org_id: str) -> None:
    """Audit what an operator does; what an admin does is an event of the organization."""
    if caller().role == "operator":
        services().audit.note(actor(), action, org_id)


def _accepted(record: JobRecord, who: Caller) -> Response:
    body = dump(record)
    if who.role != "operator":
        body["job_token"] = services().tokens.issue_job_token(PLATFORM, record.id)
    return replies.one(body, status=202, headers=accepted_headers(record))
