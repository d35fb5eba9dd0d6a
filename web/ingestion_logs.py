"""Logs of runs: what each found, how it ended, and which records it set aside."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.errors import NotFound
from common.tickets.collections import REFUSED_ROWS
from web.contract import paging
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, page_of
from web.source_document import LOG_EXAMPLE, IngestionLogPage, shown_log

blueprint = Blueprint("ingestion_logs", __name__, tag="Sources", scope="tickets")

_ID_CHARS = 36
_NUMBER_MAX = 2**63


class LogsQuery(PageQuery):
    """Whose logs."""

    source_id = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(_ID_CHARS, _ID_CHARS),
        metadata={"description": "of this source only", "example": "01920f3c-8a4e-7b2f-8c1d-00000000001a"},
    )


class RefusedRecord(Shape):
    """A record that was set aside, and why."""

    line = ma.fields.Integer(metadata={"description": "its place among the records of the run, from 1"})
    column = ma.fields.String(allow_none=True, metadata={"description": "the field that is wrong"})
    reason = ma.fields.String()
    external_id = ma.fields.String(allow_none=True, metadata={"description": "what names it there, if it said so"})
    page = ma.fields.Integer(allow_none=True, metadata={"description": "on which page it stood, from 1"})


RefusedRecordPage = page_of(RefusedRecord, "RefusedRecordPage")
_REFUSED_EXAMPLE = {
    "line": 17,
    "column": "message",
    "reason": "message must not be empty.",
    "external_id": "4711",
    "page": 1,
}


@blueprint.route("/v1/ingestion-logs", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(LogsQuery, location="query")
@blueprint.response(200, IngestionLogPage, example={"items": [LOG_EXAMPLE], "next_cursor": None})
def list_ingestion_logs(query: dict[str, Any]) -> Response:
    """List the logs of the last 90 days' runs, good and bad, the newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().ingestion_logs.page(
        who.org_id, source_id=query["source_id"], before=before, limit=query["limit"] + 1
    )
    return paging.page(who, query, found, dump=shown_log, place=lambda one: one.job_id)


@blueprint.route("/v1/ingestion-logs/<id:job_id>/refused-records", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, RefusedRecordPage, example={"items": [_REFUSED_EXAMPLE], "next_cursor": None})
def list_refused_records(query: dict[str, Any], job_id: str) -> Response:
    """List the records that a run set aside, in the order in which they came; at most 10,000 are kept."""
    who = caller()
    if services().ingestion_logs.get(who.org_id, job_id) is None:
        raise NotFound("There is no such run.")
    where: dict[str, Any] = {"job_id": job_id}
    after = paging.position(who, query, _read_place)
    if after is not None:
        where["$or"] = [{"line": {"$gt": after[0]}}, {"line": after[0], "_id": {"$gt": after[1]}}]
    rows = services().scope(who.org_id)[REFUSED_ROWS]
    found = list(rows.find(where, sort=[("line", 1), ("_id", 1)], limit=query["limit"] + 1))
    return paging.page(who, query, found, dump=_shown, place=lambda row: [row["line"], row["_id"]])


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in ("line", "column", "reason")}
    return {**shown, "external_id": row.get("external_id"), "page": row.get("page")}


def _read_place(place: Any) -> tuple[int, str]:
    line, row_id = place
    if not isinstance(line, int) or not 0 <= line < _NUMBER_MAX:
        raise ValueError("no line")
    return line, paging.read_id(row_id)
