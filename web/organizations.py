"""Organizations: shown to everybody in part, to their own people in full, and changed by their admins."""

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args
from zoneinfo import available_timezones

import marshmallow as ma
from flask import Response, request

from common.clock import rfc3339
from common.errors import Fault, Invalid, NotFound
from common.ids import OrgId
from common.organizations.slugs import NAME_MAX_CHARS
from common.tenancy.registry import ABSENT, Organization, State
from web.contract import openapi, preconditions, replies
from web.contract.authentication import caller, identify, requires
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.contract.shapes import Shape, instant
from web.sign_up import slug_asked, storable

blueprint = Blueprint("organizations", __name__, tag="Organizations", scope="organization")

PUBLIC_CACHE = "public, max-age=3600, stale-while-revalidate=60"
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"


class SettingsSchema(ma.Schema):
    """What an organization prefers; null takes a setting away."""

    time_zone = ma.fields.String(
        allow_none=True,
        validate=ma.validate.Length(1, 64),
        metadata={"description": "an IANA name", "example": "Europe/Berlin"},
    )
    language = ma.fields.String(
        allow_none=True,
        validate=[ma.validate.Length(2, 35), ma.validate.Regexp(_LANGUAGE)],
        metadata={"description": "BCP 47", "example": "de"},
    )


class OrganizationChange(ma.Schema):
    """What to change; what is left out stays."""

    name = ma.fields.String(validate=ma.validate.Length(1, NAME_MAX_CHARS))
    slug = ma.fields.String(
        validate=ma.validate.Length(2, 77),
        metadata={"description": "the old one answers 404 from now on, and is nobody else's for a day"},
    )
    settings = ma.fields.Nested(SettingsSchema)


class BySlug(ma.Schema):
    """Which organization."""

    slug = ma.fields.String(required=True, validate=ma.validate.Length(1, 200), metadata={"example": "acme"})


class PublicOrganization(Shape):
    """An organization; everything but its id, name and slug is for its own people and operators."""

    id = ma.fields.String()
    name = ma.fields.String()
    slug = ma.fields.String()
    tier = ma.fields.String(metadata={"sometimes": True})
    isolation = ma.fields.String(metadata={"sometimes": True})
    state = ma.fields.String(validate=ma.validate.OneOf(get_args(State)), metadata={"sometimes": True})
    settings = ma.fields.Nested(SettingsSchema, metadata={"sometimes": True})
    created_at = ma.fields.String(metadata={"format": "date-time", "sometimes": True})


class OrganizationDocument(Shape):
    """An organization, as its own people see it."""

    id = ma.fields.String()
    name = ma.fields.String()
    slug = ma.fields.String()
    tier = ma.fields.String()
    isolation = ma.fields.String()
    state = ma.fields.String(validate=ma.validate.OneOf(get_args(State)))
    settings = ma.fields.Nested(SettingsSchema)
    created_at = instant()


_PUBLIC = {"id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f", "name": "Acme", "slug": "acme"}
_EXAMPLE = {
    **_PUBLIC,
    "tier": "free",
    "isolation": "pooled",
    "state": "active",
    "settings": {"time_zone": "Europe/Berlin"},
    "created_at": "2026-01-31T09:30:00.000Z",
}


@blueprint.route("/v1/organizations", methods=["GET"])
@blueprint.arguments(BySlug, location="query")
@blueprint.response(200, PublicOrganization, example=_PUBLIC)
@blueprint.doc(responses=openapi.errors("not-found", "unauthenticated", "forbidden"))
def find_organization(query: dict[str, Any]) -> Response:
    """Show the organization of a slug, as `GET /v1/organizations/{id}` does."""
    found = services().registry.by_slug(query["slug"])
    if found is None:
        raise NotFound(ABSENT)
    return _show(found)


@blueprint.route("/v1/organizations/<id:org_id>", methods=["GET"])
@blueprint.response(200, PublicOrganization, example=_PUBLIC)
@blueprint.doc(responses=openapi.errors("unauthenticated", "forbidden"))
def get_organization(org_id: str) -> Response:
    """Show an organization: without sign-in, and to others, its public part."""
    return _show(services().registry.get(OrgId(org_id)))


@blueprint.route("/v1/organizations/<id:org_id>", methods=["PATCH"])
@requires("admin", "operator")
@blueprint.arguments(OrganizationChange)
@blueprint.response(200, OrganizationDocument, example=_EXAMPLE)
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def change_organization_document(asked: dict[str, Any], org_id: str) -> Response:
    """Change an organization, at once, whatever amount of data it has."""
    fields = _fields(asked)

    def attempt() -> Organization:
        was = own(org_id)
        preconditions.matches(was.version)
        if not fields:
            return was
        settings = {"settings": _merged(was.settings, fields["settings"])} if "settings" in fields else {}
        return services().life.change(was, {**fields, **settings}, by=caller().user_id)

    changed = preconditions.settled(attempt)
    return replies.one(_document(changed), version=changed.version)


def own(org_id: str) -> Organization:
    """Return the organization if it is the caller's, or the caller is an operator. Raises `NotFound`."""
    who = caller()
    if who.role != "operator" and who.org_id != org_id:
        raise NotFound(ABSENT)
    return services().registry.get(OrgId(org_id), fresh=True)


def _show(organization: Organization) -> Response:
    who = identify() if "Authorization" in request.headers else None
    if who is not None and (who.role == "operator" or who.org_id == organization.org_id):
        return replies.one(_document(organization), version=organization.version)
    if not organization.is_active:
        raise NotFound(ABSENT)
    public = {"id": organization.org_id, "name": organization.name, "slug": organization.slug}
    headers = {"Vary": "Authorization"} | ({"Cache-Control": PUBLIC_CACHE} if who is None else {})
    return replies.one(public, headers=headers)


def _document(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.org_id,
        "name": organization.name,
        "slug": organization.slug,
        "tier": organization.tier,
        "isolation": organization.placement.mode,
        "state": organization.state,
        "settings": dict(organization.settings),
        "created_at": rfc3339(organization.created_at),
    }


def _fields(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be changed. Raises `Invalid`."""
    fields = dict(asked)
    if "name" in fields:
        storable(fields["name"])
    if "slug" in fields:
        slug_asked(fields)
    zone = fields.get("settings", {}).get("time_zone")
    if zone is not None and zone not in _time_zones():
        raise Invalid("There is no such time zone.", [Fault("must be an IANA name", "/settings/time_zone")])
    return fields


@cache
def _time_zones() -> frozenset[str]:
    """Return the names of all time zones; looked up once, because they lie in hundreds of files."""
    return frozenset(available_timezones())


def _merged(was: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**was, **changes}.items() if value is not None}
