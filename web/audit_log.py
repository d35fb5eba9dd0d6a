"""The audit log: who did what to which room and file; for admins, and for owners what concerns their room."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from flask import Response

from common.clock import rfc3339
from common.errors import Forbidden
from common.files import audit_log
from common.files.audit_log import ACTIONS, Filter, Place
from common.files.rights import Operation
from web.contract import openapi, paging
from web.contract.authentication import caller, requires
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of
from web.room_access import enter

blueprint = Blueprint("audit_log", __name__, tag="Audit log", scope="files")

_UUID = ma.validate.Regexp(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
_ACTOR = ma.validate.Regexp(r"^(key:)?[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


class AuditLogQuery(PageQuery):
    """Which entries to list; `from` and `to` bound `created_at`, the second not included."""

    room_id = ma.fields.String(
        load_default=None,
        validate=_UUID,
        metadata={"description": "needed by who is no admin of the organization"},
    )
    action = ma.fields.String(load_default=None, validate=ma.validate.OneOf(ACTIONS))
    actor_id = ma.fields.String(
        load_default=None, validate=_ACTOR, metadata={"description": "a person's id, or key: and an API key's"}
    )
    since = Instant(load_default=None, data_key="from", metadata={"description": "done at or after"})
    until = Instant(load_default=None, data_key="to", metadata={"description": "done before"})


class AuditLogEntry(Shape):
    """Something that somebody did."""

    id = ma.fields.String()
    action = ma.fields.String(validate=ma.validate.OneOf(ACTIONS))
    room_id = ma.fields.String(allow_none=True)
    file_id = ma.fields.String(allow_none=True)
    subject_id = ma.fields.String(allow_none=True, metadata={"description": "whom it was done to"})
    actor_id = ma.fields.String(metadata={"description": "who did it: a person's id, or key: and an API key's"})
    request_id = ma.fields.String()
    job_id = ma.fields.String(allow_none=True, metadata={"description": "the job that did it, or goes on with it"})
    detail = ma.fields.Dict(keys=ma.fields.String(), metadata={"description": "what else there is, by action"})
    created_at = instant()


_EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-9b5f-7d2e-8c8b-3a7e6f5d4c3b",
    "action": "member.set",
    "room_id": "01920f3c-8a4e-7b2f-8c1d-00000000000a",
    "file_id": None,
    "subject_id": "01920f3c-8a4e-7b2f-8c1d-000000000002",
    "actor_id": "01920f3c-8a4e-7b2f-8c1d-000000000001",
    "request_id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "job_id": None,
    "detail": {"role": "editor", "was": "viewer"},
    "created_at": "2026-01-31T09:30:00.000Z",
}
_PAGE = page_of(AuditLogEntry, "AuditLogPage")


@blueprint.route("/v1/audit-log", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(AuditLogQuery, location="query")
@blueprint.response(200, _PAGE, example={"items": [_EXAMPLE], "next_cursor": None})
@blueprint.doc(responses=openapi.errors("not-found"))
def list_audit_entries(query: dict[str, Any]) -> Response:
    """List who did what, the newest first: admins all of it, also of rooms that are gone; owners their room's."""
    who = caller()
    if who.role != "admin":
        if query["room_id"] is None:
            raise Forbidden("Only an admin may read all of the audit log. Name a room that you own: ?room_id=")
        enter(query["room_id"], Operation.READ_AUDIT_LOG)
    asked = Filter(**{name: query[name] for name in ("room_id", "action", "actor_id", "since", "until")})
    before = paging.position(who, query, _read_place)
    found = audit_log.page(services().scope(who.org_id), asked, before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_shown, place=lambda one: [rfc3339(one["created_at"]), one["_id"]])


def _read_place(place: Any) -> Place:
    at, entry_id = place
    return Place(datetime.fromisoformat(at).astimezone(UTC), paging.read_id(entry_id))


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    same = ("action", "room_id", "file_id", "subject_id", "actor_id", "request_id", "job_id", "detail")
    shown = {name: entry[name] for name in same}
    return {"id": entry["_id"], **shown, "created_at": rfc3339(entry["created_at"])}
