"""Imports of tickets: a file is stored as it comes in, and a job reads it; the rows it refused are listed here."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.caller import Caller
from common.errors import NotFound
from common.ids import JobId
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.logs import get_logger
from common.tickets.collections import REFUSED_ROWS
from common.tickets.import_file import ImportFile
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, page_of
from web.contract.uploads import FIELD_MAX_BYTES, Received, receive
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump
from web.ticket_import_form import SOURCE_MAX_CHARS, check_filename, check_source, format_of, read_mapping

blueprint = Blueprint("ticket_imports", __name__, tag="Tickets", scope="tickets")
log = get_logger()


class RefusedRow(Shape):
    """A row of a file that was not imported, and why."""

    line = ma.fields.Integer(metadata={"description": "where the row starts in the file, from 1"})
    column = ma.fields.String(allow_none=True)
    reason = ma.fields.String()


RefusedRowPage = page_of(RefusedRow, "RefusedRowPage")
_REFUSED_EXAMPLE = {"line": 17, "column": "message", "reason": "must not be empty"}

_FILE = "CSV (.csv, .tsv, .txt) or JSON Lines (.jsonl, .ndjson), of at most FAIRWAY_IMPORT_MAX_BYTES bytes"
_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": _FILE},
                    "mapping": {
                        "type": "string",
                        "maxLength": FIELD_MAX_BYTES,
                        "description": "a JSON object: ticket field to column; the rest is matched by name",
                        "example": '{"message": "text"}',
                    },
                    "source": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": SOURCE_MAX_CHARS,
                        "description": "whose external ids these are; `import` if left out. "
                        "Neither `manual` nor a UUID: these are the API's own",
                        "example": "helpdesk",
                    },
                },
            }
        }
    },
}


@blueprint.route("/v1/tickets/imports", methods=["POST"])
@requires("admin", "member")
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE)
@blueprint.doc(
    parameters=[idempotency.PARAMETER],
    requestBody=_FORM,
    responses=openapi.errors("not-parseable", "conflict", "too-large", "wrong-media-type"),
)
def import_tickets() -> Response:
    """Import a file of tickets. It is stored as it comes in; the answer is a job that reads it."""
    who = caller()
    idempotency.key()
    services().registry.get(who.org_id)  # without MongoDB nothing is accepted: say so before the file comes
    max_bytes = services().settings.import_max_bytes
    with services().uploads.begin(who.org_id, max_bytes=max_bytes) as upload:
        received = receive(upload, file="file", fields=frozenset({"mapping", "source"}), max_bytes=max_bytes)
        record = _accept(who, received, upload.job_id)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


@blueprint.route("/v1/tickets/imports/<id:job_id>/refused-rows", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, RefusedRowPage, example={"items": [_REFUSED_EXAMPLE], "next_cursor": None})
def list_refused_rows(query: dict[str, Any], job_id: str) -> Response:
    """List the rows of an import that were refused, in the order of the file."""
    who = caller()
    if services().jobs.get(who.org_id, job_id).kind != ImportFile.name:
        raise NotFound("There is no such import.")
    where: dict[str, Any] = {"job_id": job_id}
    after = paging.position(who, query, _read_place)
    if after is not None:
        where["$or"] = [{"line": {"$gt": after[0]}}, {"line": after[0], "_id": {"$gt": after[1]}}]
    rows = services().scope(who.org_id)[REFUSED_ROWS]
    found = list(rows.find(where, sort=[("line", 1), ("_id", 1)], limit=query["limit"] + 1))
    return paging.page(
        who,
        query,
        found,
        dump=lambda row: {"line": row["line"], "column": row["column"], "reason": row["reason"]},
        place=lambda row: [row["line"], row["_id"]],
    )


def _accept(who: Caller, upload: Received, job_id: JobId) -> JobRecord:
    job = ImportFile(
        blob_id=upload.blob.id,
        filename=check_filename(upload.filename),
        format=format_of(upload.filename, upload.head),
        mapping=read_mapping(upload.fields.get("mapping", "{}")),
        source=check_source(upload.fields.get("source")),
    )
    used = once(
        "tickets.imports",
        scope=who.org_id,
        request_parts=[upload.blob.sha256, job.filename, job.mapping, job.source],
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
    )
    return services().submit(who, job, job_id=job_id, once=used)


def _read_place(place: Any) -> tuple[int, str]:
    line, row_id = place
    if not isinstance(line, int) or not 0 <= line < 2**63:
        raise ValueError("no line")
    return line, paging.read_id(row_id)
