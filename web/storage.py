"""How much an organization stores, of how much."""

import marshmallow as ma
from flask import Response

from web.contract import replies
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.contract.shapes import Shape

blueprint = Blueprint("storage", __name__, tag="Files", scope="files")


class StorageSchema(Shape):
    """The storage of an organization."""

    files = ma.fields.Integer(metadata={"description": "distinct contents"})
    stored_bytes = ma.fields.Integer(metadata={"description": "of all files, each content once"})
    reserved_bytes = ma.fields.Integer(metadata={"description": "for what is on its way in"})
    limit_bytes = ma.fields.Integer(metadata={"description": "of the organization's tier"})
    share = ma.fields.Float(metadata={"description": "how much of the limit is used"})
    level = ma.fields.String(
        validate=ma.validate.OneOf(["ok", "warning", "full"]),
        metadata={"description": "warning from 80 % on; an event says so, too"},
    )


_EXAMPLE = {
    "files": 250,
    "stored_bytes": 8_700_000_000,
    "reserved_bytes": 0,
    "limit_bytes": 10_737_418_240,
    "share": 0.8102,
    "level": "warning",
}


@blueprint.route("/v1/storage", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, StorageSchema, example=_EXAMPLE)
def get_storage() -> Response:
    """Show how much of its storage the organization uses."""
    found = services().storage.look(caller().org_id)
    use = found.use
    return replies.one(
        {
            "files": use.files,
            "stored_bytes": use.stored_bytes,
            "reserved_bytes": use.reserved_bytes,
            "limit_bytes": found.limit_bytes,
            "share": round(use.used_bytes / max(1, found.limit_bytes), 4),
            "level": found.level,
        }
    )
