"""Organizations with their load, and the tiers that say how much each may have, for those who run the platform."""

from typing import Any

import marshmallow as ma
from flask import Response

from common import fleet
from common.ids import OrgId
from common.tenancy.registry import Organization
from common.tenancy.tiers import DEFAULTS, MOST, shown
from web.contract import openapi, paging, preconditions, replies
from web.contract.authentication import actor, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.limits import QUOTA_MAX
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of

blueprint = Blueprint("tiers", __name__, tag="Operators: tiers")

_HERE = "/v1/operations"


class OrganizationSchema(Shape):
    """An organization and its load."""

    id = ma.fields.String()
    name = ma.fields.String()
    slug = ma.fields.String()
    tier = ma.fields.String()
    isolation = ma.fields.String()
    state = ma.fields.String(metadata={"description": "active, deleted, or purging"})
    created_at = instant()
    waiting = ma.fields.Integer(metadata={"description": "its jobs that are queued or wait for a time"})
    running = ma.fields.Integer()


class TierSchema(Shape):
    """What a tier gives to each of its organizations."""

    tier = ma.fields.String()
    weight = ma.fields.Integer(metadata={"description": "its share of busy slots against others'"})
    running = ma.fields.Integer(metadata={"description": "jobs at a time; slots beyond are only lent"})
    waiting = ma.fields.Integer(metadata={"description": "jobs accepted and not begun, at most"})
    requests_a_minute = ma.fields.Integer()
    requests_an_hour = ma.fields.Integer()
    storage_bytes = ma.fields.Integer()


class OrganizationsQuery(PageQuery):
    """Which organizations to list."""

    q = ma.fields.String(
        load_default="",
        validate=[ma.validate.Length(0, 100), ma.validate.ContainsNoneOf("\0", error="Must be text.")],
        metadata={"description": "part of a name or a slug"},
    )


class TierOf(ma.Schema):
    """An organization's other tier."""

    tier = ma.fields.String(required=True, validate=ma.validate.OneOf(["free", "standard", "enterprise"]))


class TierChange(ma.Schema):
    """New figures of a tier; those left out stay."""

    weight = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 1_000))
    running = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 100_000))
    waiting = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 10_000_000))
    requests_a_minute = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, QUOTA_MAX))
    requests_an_hour = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, QUOTA_MAX))
    storage_bytes = ma.fields.Integer(strict=True, validate=ma.validate.Range(0, MOST * 1_000))


ORGANIZATION: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "name": "Acme",
    "slug": "acme",
    "tier": "free",
    "isolation": "pooled",
    "state": "active",
    "created_at": "2026-01-31T09:30:00.000Z",
    "waiting": 12,
    "running": 2,
}
TIER: dict[str, Any] = {"tier": "free", **shown(DEFAULTS["free"])}


@blueprint.route(f"{_HERE}/organizations", methods=["GET"])
@requires("operator")
@blueprint.arguments(OrganizationsQuery, location="query")
@blueprint.response(
    200, page_of(OrganizationSchema, "OrganizationPage"), example={"items": [ORGANIZATION], "next_cursor": None}
)
def list_organizations(query: dict[str, Any]) -> Response:
    """List organizations, by part of a name or a slug."""
    who = caller()
    after = paging.position(who, query, paging.read_id) or ""
    found = fleet.organizations(services(), query["q"], after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_organization, place=lambda one: one.org_id)


@blueprint.route(f"{_HERE}/organizations/<id:org_id>", methods=["GET"])
@requires("operator")
@blueprint.response(200, OrganizationSchema, example=ORGANIZATION)
def get_any_organization(org_id: str) -> Response:
    """Show an organization; the ETag is for changing its tier."""
    found = services().registry.get(OrgId(org_id), fresh=True)
    return replies.one(_organization(found), version=found.version)


@blueprint.route(f"{_HERE}/organizations/<id:org_id>", methods=["PATCH"])
@requires("operator")
@blueprint.arguments(TierOf)
@blueprint.response(200, OrganizationSchema, example=ORGANIZATION | {"tier": "standard"})
@blueprint.doc(
    parameters=[preconditions.NEEDED], responses=openapi.errors("precondition-failed", "precondition-required")
)
def change_organization(asked: dict[str, Any], org_id: str) -> Response:
    """Give an organization another tier: at once for its jobs, within seconds for its requests."""
    was = services().registry.get(OrgId(org_id), fresh=True)
    preconditions.must_match(was.version)
    changed = fleet.set_tier(services(), actor(), was, asked["tier"])
    return replies.one(_organization(changed), version=changed.version)


@blueprint.route(f"{_HERE}/tiers", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(TierSchema, "TierPage"), example={"items": [TIER], "next_cursor": None})
def list_tiers(query: dict[str, Any]) -> Response:
    """Show the table of tiers as it holds now."""
    return paging.part(caller(), query, [dict(one) for one in fleet.tiers(services())])


@blueprint.route(f"{_HERE}/tiers/<string:tier>", methods=["GET"])
@requires("operator")
@blueprint.response(200, TierSchema, example=TIER)
def get_tier(tier: str) -> Response:
    """Show a tier as it holds now; the ETag is for changing it."""
    shown, version = fleet.tier(services(), tier)
    return replies.one(shown, version=version)


@blueprint.route(f"{_HERE}/tiers/<string:tier>", methods=["PATCH"])
@requires("operator")
@blueprint.arguments(TierChange)
@blueprint.response(200, TierSchema, example=TIER)
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("precondition-failed"))
def change_tier(asked: dict[str, Any], tier: str) -> Response:
    """Change figures of a tier for all its organizations: in the lanes at once, elsewhere within five seconds."""
    was = fleet.tier(services(), tier)[1]
    is_bound = preconditions.matches(was)
    fleet.change_tier(services(), actor(), tier, asked, was=was if is_bound else None)
    shown, version = fleet.tier(services(), tier)
    return replies.one(shown, version=version)


def _organization(one: Organization) -> dict[str, Any]:
    return dict(fleet.organization(services(), one))
