"""Rooms: what people share files in; each is seen by those who are in it, and by the organization's admins."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Response

from common.errors import Fault, Forbidden, Invalid
from common.files.delete_room import DeleteRoom
from common.files.rights import ROOM_ROLES, Operation, RoomRole
from common.files.room import Room
from common.files.room import shown as shown_room
from common.files.room_texts import DESCRIPTION_MAX_CHARS, NAME_MAX_CHARS, room_description, room_name
from common.jobs.idempotency import Answer
from web.contract import idempotency, openapi, paging, preconditions, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump
from web.room_access import in_room, revision_meant, role, room

blueprint = Blueprint("rooms", __name__, tag="Rooms", scope="files")

_NAME = {"description": "printable; kept in its composed form (NFC)", "example": "Spring campaign"}
_DESCRIPTION = {"description": "printable, with lines and tabs", "example": "What we show in May."}


class RoomsQuery(PageQuery):
    """Which rooms to list."""

    all = ma.fields.Boolean(
        load_default=False, metadata={"description": "every room of the organization; for admins"}
    )


class NewRoom(ma.Schema):
    """A room."""

    name = ma.fields.String(required=True, validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata=_NAME)
    description = ma.fields.String(
        load_default="", validate=ma.validate.Length(0, DESCRIPTION_MAX_CHARS), metadata=_DESCRIPTION
    )


class RoomChange(ma.Schema):
    """What to change; what is left out stays."""

    name = ma.fields.String(validate=ma.validate.Length(1, NAME_MAX_CHARS), metadata=_NAME)
    description = ma.fields.String(validate=ma.validate.Length(0, DESCRIPTION_MAX_CHARS), metadata=_DESCRIPTION)


class RoomSchema(Shape):
    """A room."""

    id = ma.fields.String()
    name = ma.fields.String()
    description = ma.fields.String()
    created_by = ma.fields.String(metadata={"description": "a person's id, or key: and an API key's"})
    created_at = instant()
    updated_at = instant()
    members = ma.fields.Integer(metadata={"description": "how many are in it"})
    files = ma.fields.Integer(metadata={"description": "how many are in it"})
    role = ma.fields.String(
        allow_none=True,
        validate=ma.validate.OneOf(ROOM_ROLES),
        metadata={"description": "one's own here; null for an admin of the organization who has none"},
    )
    links = links()


EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-00000000000a",
    "name": "Spring campaign",
    "description": "What we show in May.",
    "created_by": "01920f3c-8a4e-7b2f-8c1d-000000000001",
    "created_at": "2026-01-31T09:30:00.000Z",
    "updated_at": "2026-01-31T09:30:00.000Z",
    "members": 1,
    "files": 0,
    "role": "owner",
    "links": {
        "self": "/v1/rooms/01920f3c-8a4e-7b2f-8c1d-00000000000a",
        "members": "/v1/rooms/01920f3c-8a4e-7b2f-8c1d-00000000000a/members",
        "files": "/v1/rooms/01920f3c-8a4e-7b2f-8c1d-00000000000a/files",
    },
}
_PAGE = page_of(RoomSchema, "RoomPage")
_TEXTS = {"name": room_name, "description": room_description}


@blueprint.route("/v1/rooms", methods=["POST"])
@requires("admin", "member")
@blueprint.arguments(NewRoom)
@blueprint.response(201, RoomSchema, example=EXAMPLE)
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def add_room(asked: dict[str, Any]) -> Response:
    """Make a room, and be its owner."""
    who = caller()
    texts = _texts(asked)
    # The key is the caller's own: to others in the organization the room that it made does not exist.
    space = f"{who.org_id}/{who.user_id}"
    used = once("rooms.add", scope=space, request_parts=texts, answer=_made)
    made = services().rooms.create(who, texts["name"], texts["description"], once=used)
    answer = _made(made)
    return replies.one(answer.body, status=answer.status, headers=answer.headers)


@blueprint.route("/v1/rooms", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(RoomsQuery, location="query")
@blueprint.response(200, _PAGE, example={"items": [EXAMPLE], "next_cursor": None})
def list_rooms(query: dict[str, Any]) -> Response:
    """List the rooms that one is in, the newest first; as an admin with `all` every room of the organization."""
    who = caller()
    if query["all"] and who.role != "admin":
        raise Forbidden("Only an admin may list rooms that they are not in.")
    before = paging.position(who, query, paging.read_id)
    page = services().rooms.page_of_all if query["all"] else services().rooms.page
    found = page(who.org_id, who.user_id, before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=lambda one: _shown(*one), place=lambda one: one[0].room_id)


@blueprint.route("/v1/rooms/<id:room_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, RoomSchema, example=EXAMPLE)
@in_room(Operation.SHOW_ROOM)
def get_room(room_id: str) -> Response:
    """Show a room."""
    del room_id
    return replies.one(_shown(room(), role()), version=room().etag)


@blueprint.route("/v1/rooms/<id:room_id>", methods=["PATCH"])
@requires("admin", "member")
@blueprint.arguments(RoomChange)
@blueprint.response(200, RoomSchema, example=EXAMPLE)
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("precondition-failed"))
@in_room(Operation.CHANGE_ROOM)
def change_room(asked: dict[str, Any], room_id: str) -> Response:
    """Change the name or the description of a room."""
    texts, revision = _texts(asked), revision_meant(room())
    changed = services().rooms.change(caller(), room_id, texts, revision=revision)
    return replies.one(_shown(changed, role()), version=changed.etag)


@blueprint.route("/v1/rooms/<id:room_id>", methods=["DELETE"])
@requires("admin", "member")
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": DeleteRoom.name})
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("precondition-failed"))
@in_room(Operation.DELETE_ROOM)
def delete_room(room_id: str) -> Response:
    """Delete a room: nobody sees it from now on, and a job takes its files and people out of it."""
    revision_meant(room())
    record = services().rooms.delete(caller(), room_id)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


def _texts(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the texts as they are kept. Raises `Invalid`, which names each that can't be one."""
    texts, faults = dict[str, str](), list[Fault]()
    for name, text in asked.items():
        try:
            texts[name] = _TEXTS[name](text)
        except ValueError as error:
            faults.append(Fault(str(error), f"/{name}"))
    if faults:
        raise Invalid("Some fields are not valid; see errors.", faults)
    return texts


def _made(made: Room) -> Answer:
    headers = {"Location": f"/v1/rooms/{made.room_id}", "ETag": f'"{made.etag}"'}
    return Answer(201, _shown(made, "owner"), headers)


def _shown(one: Room, own: RoomRole | None) -> dict[str, Any]:
    here = f"/v1/rooms/{one.room_id}"
    shown_links = {"self": here, "members": f"{here}/members", "files": f"{here}/files"}
    return {**shown_room(one), "role": own, "links": shown_links}
