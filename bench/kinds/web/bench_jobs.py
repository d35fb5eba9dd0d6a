"""A view that accepts a job which does nothing: the whole contract around it, and no domain's own work."""

from typing import Any

import marshmallow as ma
from common.bench.do_nothing import DoNothing
from flask import Response

from web.contract import idempotency, replies
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.jobs import JobSchema, accepted_headers, dump

blueprint = Blueprint("bench", __name__, description="For benchmarks", tag="Benchmarks")


class Asked(ma.Schema):
    """What a benchmark sends."""

    number = ma.fields.Integer(required=True)
    note = ma.fields.String(required=True, validate=ma.validate.Length(1, 1_000))


@blueprint.route("/v1/bench/jobs", methods=["POST"])
@requires("admin")
@blueprint.arguments(Asked)
@blueprint.response(202, JobSchema)
@blueprint.doc(parameters=[idempotency.PARAMETER])
def accept(asked: dict[str, Any]) -> Response:
    """Accept a job that does nothing."""
    record = services().submit(caller(), DoNothing(**asked))
    return replies.one(dump(record), status=202, headers=accepted_headers(record))
