"""Imports of archives: what became of each of their entries."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import marshmallow as ma
from flask import Response

from common.errors import NotFound
from common.files.collections import IMPORT_GROUPS
from common.files.import_upload import ImportUpload
from common.files.rights import Operation
from common.jobs.record import JobRecord
from common.tenancy.scope import OrgScope
from web.contract import paging
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, page_of
from web.room_access import enter

blueprint = Blueprint("file_imports", __name__, tag="Files", scope="files")
OUTCOMES = ("new", "deduplicated", "refused", "pending")


class EntrySchema(Shape):
    """An entry of an archive, and what became of it."""

    number = ma.fields.Integer(metadata={"description": "its place in the archive, from 0; folders don't count"})
    name = ma.fields.String()
    size_bytes = ma.fields.Integer()
    outcome = ma.fields.String(
        validate=ma.validate.OneOf(OUTCOMES),
        metadata={"description": "new: its bytes were stored; deduplicated: they were there; pending: not yet"},
    )
    file_id = ma.fields.String(allow_none=True)
    reason = ma.fields.String(allow_none=True, metadata={"description": "why it was refused"})


class EntriesQuery(PageQuery):
    """Which entries to list."""

    outcome = ma.fields.String(load_default=None, validate=ma.validate.OneOf(OUTCOMES))


_EXAMPLE = {
    "number": 0,
    "name": "reports/may.csv",
    "size_bytes": 20480,
    "outcome": "new",
    "file_id": "01920f3c-8a4e-7b2f-8c1d-000000000010",
    "reason": None,
}


@blueprint.route("/v1/files/imports/<id:job_id>/entries", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(EntriesQuery, location="query")
@blueprint.response(200, page_of(EntrySchema, "EntryPage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_entries(query: dict[str, Any], job_id: str) -> Response:
    """List the entries of an archive that was sent, in its order, with what became of each."""
    who = caller()
    _enter_room_of(services().jobs.get(who.org_id, job_id))
    after = paging.position(who, query, _read_number)
    entries = _entries(services().scope(who.org_id), job_id, -1 if after is None else after)
    wanted = (one for one in entries if query["outcome"] in {None, one["outcome"]})
    found = list(islice(wanted, query["limit"] + 1))
    return paging.page(who, query, found, dump=dict, place=lambda one: one["number"])


def _enter_room_of(job: JobRecord) -> None:
    """Let those in who may see the files of the room that the import is for."""
    room_id = job.payload.get("room_id")
    if job.kind != ImportUpload.name or room_id is None:  # one that came back from an archive has no payload
        raise NotFound("There is no such import.")
    enter(room_id, Operation.LIST_FILES)


list_entries.operation = Operation.LIST_FILES


def _entries(scope: OrgScope, job_id: str, after: int) -> Iterator[dict[str, Any]]:
    """Go through the entries after number *after*; a group is read at a time."""
    last = {"job_id": job_id, "entries.number": {"$gt": after}}
    for group in scope[IMPORT_GROUPS].find(last, sort=[("number", 1)]):
        yield from (_shown(one) for one in group["entries"] if one["number"] > after)


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    waits = {"outcome": "pending", "file_id": None, "reason": None}
    return {name: {**waits, **entry}[name] for name in _EXAMPLE}


def _read_number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError("no number")
    return value
