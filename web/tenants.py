"""What all tenants use, and who troubles the others: for those who run the platform."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import marshmallow as ma
from flask import Response
from pymongo.errors import ExecutionTimeout

from common.analytics.tenants import Window
from common.analytics.troubles import Tenant, Whole, share, troubles
from common.analytics.usage import figures
from common.errors import Unavailable
from web.contract import paging
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, page_of

blueprint = Blueprint("tenants", __name__, tag="Operators: tenants")
SORTS = (
    *("run_s", "requests", "refused", "jobs", "failed", "rows", "storage_bytes", "waiting", "running"),
    "troubles",
)
_SHARED = ("requests", "jobs", "run_s", "rows")


class TenantsQuery(PageQuery):
    """Of which time, in which order."""

    window = ma.fields.String(
        load_default="hour",
        validate=ma.validate.OneOf(get_args(Window)),
        metadata={"description": "the hour that has begun and the one before it, or the 24 before it"},
    )
    sort = ma.fields.String(
        load_default="run_s",
        validate=ma.validate.OneOf(SORTS),
        metadata={"description": "who has most of this comes first"},
    )
    troubling = ma.fields.Boolean(load_default=False, metadata={"description": "only those that trouble others"})


class TroubleSchema(Shape):
    """By which figure a tenant troubles the others."""

    figure = ma.fields.String(
        validate=ma.validate.OneOf(["run_s", "waiting", "requests", "refused", "failed", "rows", "storage"])
    )
    value = ma.fields.Float()
    share = ma.fields.Float(metadata={"description": "what is judged: of all, of its own requests, of its limit"})
    threshold = ma.fields.Float(metadata={"description": "the share from which on it is trouble"})
    reason = ma.fields.String()


class SharesSchema(Shape):
    """Which part of what all tenants used is this one's."""

    requests = ma.fields.Float()
    jobs = ma.fields.Float()
    run_s = ma.fields.Float()
    rows = ma.fields.Float()
    storage = ma.fields.Float()


class TenantSchema(Shape):
    """What a tenant used in the window, and has now."""

    org_id = ma.fields.String()
    name = ma.fields.String(metadata={"description": "empty for one that was removed for good"})
    tier = ma.fields.String()
    requests = ma.fields.Integer()
    refused = ma.fields.Integer()
    jobs = ma.fields.Integer()
    failed = ma.fields.Integer()
    run_s = ma.fields.Float()
    rows = ma.fields.Integer()
    waiting = ma.fields.Integer(metadata={"description": "jobs in line now"})
    running = ma.fields.Integer(metadata={"description": "jobs that run now"})
    storage_bytes = ma.fields.Integer(metadata={"description": "of files, when they last changed"})
    shares = ma.fields.Nested(SharesSchema)
    troubles = ma.fields.List(ma.fields.Nested(TroubleSchema))


EXAMPLE: dict[str, Any] = {
    "org_id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "name": "Acme",
    "tier": "standard",
    "requests": 4210,
    "refused": 0,
    "jobs": 12,
    "failed": 0,
    "run_s": 2810.5,
    "rows": 980000,
    "waiting": 30,
    "running": 8,
    "storage_bytes": 8_700_000_000,
    "shares": {"requests": 0.31, "jobs": 0.02, "run_s": 0.78, "rows": 0.44, "storage": 0.12},
    "troubles": [
        {
            "figure": "run_s",
            "value": 2810.5,
            "share": 0.78,
            "threshold": 0.3,
            "reason": "It took 78% of all run time, its weight gives it 20%, and 3 others wait for a slot.",
        }
    ],
}


@blueprint.route("/v1/operations/tenants", methods=["GET"])
@requires("operator")
@blueprint.arguments(TenantsQuery, location="query")
@blueprint.response(200, page_of(TenantSchema, "TenantPage"), example={"items": [EXAMPLE], "next_cursor": None})
def list_tenants(query: dict[str, Any]) -> Response:
    """List what tenants use, who uses most first, and name those that trouble the others, with the reason."""
    who = caller()
    after = paging.position(who, query, _read_place)
    try:
        found = services().tenants.look(query["window"])
    except ExecutionTimeout as error:
        raise Unavailable("So many tenants can't be looked at in time. Ask for an hour.") from error
    shown = [one for one in _all_shown(found) if one["troubles"] or not query["troubling"]]
    ordered = sorted(shown, key=lambda one: _place(one, query["sort"]))
    rest = [one for one in ordered if after is None or _place(one, query["sort"]) > after]
    return paging.page(
        who, query, rest[: query["limit"] + 1], dump=dict, place=lambda one: _place(one, query["sort"])
    )


def _all_shown(found: Sequence[Tenant]) -> list[dict[str, Any]]:
    whole = Whole.of(found)
    of_all = figures(whole.sums)
    return [_shown(tenant, whole, of_all) for tenant in found]


def _shown(tenant: Tenant, whole: Whole, of_all: Mapping[str, Any]) -> dict[str, Any]:
    used = figures(tenant.sums)
    shares = {name: share(used[name], of_all[name]) for name in _SHARED}
    shares["storage"] = share(tenant.storage_bytes, whole.storage_bytes)
    return {
        "org_id": tenant.org_id,
        "name": tenant.name,
        "tier": tenant.tier,
        **used,
        "waiting": tenant.waiting,
        "running": tenant.running,
        "storage_bytes": tenant.storage_bytes,
        "shares": {name: round(value, 4) for name, value in shares.items()},
        "troubles": [
            {
                "figure": one.figure,
                "value": one.value,
                "share": round(one.share, 4),
                "threshold": round(one.threshold, 4),
                "reason": one.reason,
            }
            for one in troubles(tenant, whole)
        ],
    }


def _place(shown: dict[str, Any], sort: str) -> tuple[float, str]:
    """Return where one stands: who has most first, and of those who have as much the oldest."""
    value = len(shown["troubles"]) if sort == "troubles" else shown[sort]
    return -float(value), shown["org_id"]


def _read_place(place: Any) -> tuple[float, str]:
    value, org_id = place
    if not isinstance(value, float | int) or not isinstance(org_id, str):
        raise TypeError("no place in the order of tenants")
    return float(value), org_id
