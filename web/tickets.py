"""Tickets: importing files of them, and looking at them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal

import marshmallow as ma
import orjson
from flask import Response
from pymongo import DESCENDING

from common.clock import rfc3339
from common.errors import Fault, Invalid, NotFound, WrongMediaType
from common.ids import is_id
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.tickets.collections import REFUSED_ROWS, TICKETS
from common.tickets.import_file import ImportFile
from common.tickets.ticket import STATUSES, TICKET_FIELDS, public
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.uploads import Upload, receive
from web.jobs import JobSchema, accepted_headers, dump

blueprint = Blueprint("tickets", __name__, description="Tickets")

COLUMN_MAX_CHARS = 1_000
SOURCE_MAX_CHARS = 255
FILENAME_MAX_CHARS = 255
_FORMATS: Mapping[str, Literal["csv", "jsonl"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


class TicketSchema(ma.Schema):
    """A ticket."""

    id = ma.fields.String()
    source_id = ma.fields.String()
    external_id = ma.fields.String(allow_none=True)
    customer_id = ma.fields.String(allow_none=True)
    channel = ma.fields.String(allow_none=True)
    subject = ma.fields.String(allow_none=True)
    message = ma.fields.String()
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    tags = ma.fields.List(ma.fields.String())
    attributes = ma.fields.Dict()
    urgency = ma.fields.String(allow_none=True)
    sentiment = ma.fields.String(allow_none=True)
    requires_action = ma.fields.Boolean(allow_none=True)
    classifier = ma.fields.String(allow_none=True)
    created_at = ma.fields.String(metadata={"format": "date-time"})
    updated_at = ma.fields.String(metadata={"format": "date-time"})
    deleted_at = ma.fields.String(allow_none=True, metadata={"format": "date-time"})
    links = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String())


class TicketPage(ma.Schema):
    """A page of tickets."""

    items = ma.fields.List(ma.fields.Nested(TicketSchema))
    next_cursor = ma.fields.String(allow_none=True)


class TicketsQuery(PageQuery):
    """Which tickets to list; `from` and `to` bound `created_at`, the second not included."""

    status = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATUSES))
    source_id = ma.fields.String(load_default=None, validate=ma.validate.Length(1, SOURCE_MAX_CHARS))
    since = ma.fields.AwareDateTime(load_default=None, data_key="from")
    until = ma.fields.AwareDateTime(load_default=None, data_key="to")


class RefusedRow(ma.Schema):
    """A row of a file that was not imported, and why."""

    line = ma.fields.Integer()
    column = ma.fields.String(allow_none=True)
    reason = ma.fields.String()


class RefusedRowPage(ma.Schema):
    """A page of refused rows."""

    items = ma.fields.List(ma.fields.Nested(RefusedRow))
    next_cursor = ma.fields.String(allow_none=True)


_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "CSV or JSON Lines"},
                    "mapping": {
                        "type": "string",
                        "description": "a JSON object: ticket field to column; the rest is matched by name",
                        "example": '{"message": "text"}',
                    },
                    "source": {"type": "string", "maxLength": SOURCE_MAX_CHARS},
                },
            }
        }
    },
}


@blueprint.route("/v1/tickets/imports", methods=["POST"])
@requires("admin", "member")
@blueprint.response(202, JobSchema)
@blueprint.doc(
    parameters=[idempotency.PARAMETER],
    requestBody=_FORM,
    responses=openapi.errors("too-large", "wrong-media-type", "conflict"),
)
def import_tickets() -> Response:
    """Import a file of tickets. It is stored as it comes in; the answer is a job that reads it."""
    blobs = services().blobs
    upload = receive(
        blobs, file="file", fields=frozenset({"mapping", "source"}), max_bytes=services().settings.import_max_bytes
    )
    accepted: JobRecord | None = None
    try:
        accepted = _accept(upload)
    finally:
        if accepted is None:  # refused, answered before, or not written: no job will ever read this file
            blobs.delete(upload.blob.id)
    return replies.one(dump(accepted), status=202, headers=accepted_headers(accepted))


def _accept(upload: Upload) -> JobRecord:
    who = caller()
    job = ImportFile(
        blob_id=upload.blob.id,
        filename=_filename(upload.filename),
        format=_format(upload.filename),
        mapping=_mapping(upload.fields.get("mapping", "{}")),
        source=_source(upload.fields.get("source")),
    )
    used = once(
        "tickets.imports",
        scope=who.org_id,
        request_parts=[upload.blob.sha256, job.filename, job.mapping, job.source],
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
    )
    return services().submit(who, job, once=used)


@blueprint.route("/v1/tickets/imports/<string:job_id>/refused-rows", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, RefusedRowPage)
def list_refused_rows(query: dict[str, Any], job_id: str) -> Response:
    """List the rows of an import that were refused, in the order of the file."""
    who = caller()
    if not is_id(job_id) or services().jobs.get(who.org_id, job_id).kind != ImportFile.name:
        raise NotFound("There is no such import.")
    where: dict[str, Any] = {"job_id": job_id}
    after = paging.position(who, query, _line_and_id)
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


@blueprint.route("/v1/tickets", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(TicketsQuery, location="query")
@blueprint.response(200, TicketPage)
def list_tickets(query: dict[str, Any]) -> Response:
    """List the organization's tickets, newest first."""
    who = caller()
    tickets = services().scope(who.org_id)[TICKETS]
    where = _filter(query)
    after = paging.position(who, query, _instant_and_id)
    if after is not None:
        where["$or"] = [{"created_at": {"$lt": after[0]}}, {"created_at": after[0], "_id": {"$lt": after[1]}}]
    newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
    found = list(tickets.find(where, sort=newest, limit=query["limit"] + 1))
    return paging.page(who, query, found, dump=public, place=lambda one: [rfc3339(one["created_at"]), one["_id"]])


@blueprint.route("/v1/tickets/<string:ticket_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, TicketSchema)
def get_ticket(ticket_id: str) -> Response:
    """Show a ticket."""
    found = services().scope(caller().org_id)[TICKETS].find_one({"_id": ticket_id}) if is_id(ticket_id) else None
    if found is None:
        raise NotFound("There is no such ticket.")
    return replies.one(public(found))


def _filter(query: Mapping[str, Any]) -> dict[str, Any]:
    where: dict[str, Any] = {"deleted_at": None}
    where |= {name: query[name] for name in ("status", "source_id") if query[name] is not None}
    bounds = {"$gte": paging.bounded(query["since"], "from"), "$lt": paging.bounded(query["until"], "to")}
    bounds = {operator: at for operator, at in bounds.items() if at is not None}
    return where | ({"created_at": bounds} if bounds else {})


def _instant_and_id(value: Any) -> tuple[datetime, str]:
    at, ticket_id = value
    instant = datetime.fromisoformat(at)
    if instant.tzinfo is None:
        raise ValueError("no instant")
    return instant.astimezone(UTC), paging.read_id(ticket_id)


def _line_and_id(value: Any) -> tuple[int, str]:
    line, row_id = value
    if type(line) is not int or not isinstance(row_id, str):
        raise ValueError("no line")
    return line, row_id


def _format(filename: str) -> Literal["csv", "jsonl"]:
    suffix = PurePosixPath(filename).suffix.lower()
    if suffix not in _FORMATS:
        raise WrongMediaType("A file of tickets is CSV (.csv, .tsv, .txt) or JSON Lines (.jsonl, .ndjson).")
    return _FORMATS[suffix]


def _filename(name: str) -> str:
    if not 0 < len(name) <= FILENAME_MAX_CHARS or not name.isprintable():
        raise Invalid("This file name can't be kept.", [Fault("1 to 255 printable characters", "/file")])
    return name


def _mapping(text: str) -> dict[str, str]:
    try:
        mapping = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid("The mapping is not JSON.", [Fault(str(error), "/mapping")]) from error
    if not isinstance(mapping, dict):
        raise Invalid("The mapping is not an object.", [Fault("must be a JSON object", "/mapping")])
    faults = [
        Fault(f"is none of {', '.join(sorted(TICKET_FIELDS))}", f"/mapping/{field[:100]}")
        for field in mapping
        if field not in TICKET_FIELDS
    ] + [
        Fault("must be the name of a column", f"/mapping/{field[:100]}")
        for field, column in mapping.items()
        if not isinstance(column, str) or not 0 < len(column) <= COLUMN_MAX_CHARS
    ]
    if faults:
        raise Invalid("The mapping is not valid; see errors.", faults[:50])
    return mapping


def _source(text: str | None) -> str | None:
    if text is not None and (not 0 < len(text) <= SOURCE_MAX_CHARS or "\x00" in text):
        raise Invalid("This source can't be kept.", [Fault("1 to 255 characters without NUL", "/source")])
    return text
