"""Ingestions: a run of a source is a job, one at a time."""

from typing import Any

import marshmallow as ma
from flask import Request, Response

from common.jobs.idempotency import Answer
from common.sources.running import MODES
from common.tickets.ingest import IngestTickets
from web.contract import idempotency, openapi, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint, StrictParser
from web.contract.services import services
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump


class BodyOrNone(StrictParser):
    """Takes a request without a body, and without a word about one, for one with `{}`."""

    def load_json(self, req: Request, schema: Any) -> Any:
        """Return the body's object, an empty one for none. Raises like `StrictParser`."""
        is_told_of = req.content_length or req.content_type or "Transfer-Encoding" in req.headers
        return super().load_json(req, schema) if is_told_of else {}


blueprint = Blueprint("ingestions", __name__, tag="Sources", scope="tickets")
blueprint.ARGUMENTS_PARSER = BodyOrNone()


class NewIngestion(ma.Schema):
    """What to read."""

    mode = ma.fields.String(
        load_default="incremental",
        validate=ma.validate.OneOf(MODES),
        metadata={
            "description": "what changed since the last run; or everything, and then what is gone is deleted",
            "example": "incremental",
        },
    )


@blueprint.route("/v1/sources/<id:source_id>/ingestions", methods=["POST"])
@requires("admin", "member")
@blueprint.arguments(NewIngestion, required=False)
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": IngestTickets.name})
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def start_ingestion(asked: dict[str, Any], source_id: str) -> Response:
    """Start a run of a source. While one goes on another is refused, with a link to it in `job`."""
    who = caller()
    used = once(
        "sources.ingestions",
        scope=who.org_id,
        request_parts=[source_id, asked["mode"]],
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
    )
    record = services().runs.start(who, source_id, asked["mode"], once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))
