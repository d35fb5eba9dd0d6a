"""How full each data database is."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.tenancy.capacity import shown
from web.contract import paging
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, page_of

blueprint = Blueprint("capacity", __name__, tag="Operators: databases")


class FigureSchema(Shape):
    """A figure against its limit."""

    used = ma.fields.Integer()
    limit = ma.fields.Integer()


class CapacitySchema(Shape):
    """How full a database is, with what is on its way to it."""

    database = ma.fields.String()
    state = ma.fields.String(
        validate=ma.validate.OneOf(["ok", "warning", "full"]),
        metadata={"description": "warning from 80 % of a limit on; full from 90 %: then the next one is taken"},
    )
    share = ma.fields.Float(metadata={"description": "of the limit that is nearest"})
    organizations = ma.fields.Nested(FigureSchema, metadata={"description": "dedicated ones"})
    collections = ma.fields.Nested(FigureSchema)
    files = ma.fields.Nested(FigureSchema, metadata={"description": "open files: collections and indexes"})


_EXAMPLE: dict[str, Any] = {
    "database": "fairway_data_1",
    "state": "warning",
    "share": 0.82,
    "organizations": {"used": 246, "limit": 300},
    "collections": {"used": 2956, "limit": 6000},
    "files": {"used": 13520, "limit": 18000},
}


@blueprint.route("/v1/operations/capacity", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(
    200, page_of(CapacitySchema, "CapacityPage"), example={"items": [_EXAMPLE], "next_cursor": None}
)
def list_capacity(query: dict[str, Any]) -> Response:
    """List the data databases in the order in which they fill, with how full they are."""
    return paging.part(caller(), query, [shown(load) for load in services().capacity.look()])
