"""Who is in a room: people, and API keys that work in it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import marshmallow as ma
from flask import Response, request

from common.clock import rfc3339
from common.errors import NotFound, PreconditionRequired
from common.files.members import Member
from common.files.rights import ROOM_ROLES, Operation
from common.ids import OrgId
from common.organizations.person import Person, read_person
from web.contract import openapi, paging, preconditions, replies
from web.contract.authentication import caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of
from web.room_access import in_room, revision_meant, room

blueprint = Blueprint("room_members", __name__, tag="Rooms", scope="files")


class RoomRoleChange(ma.Schema):
    """The role that somebody is to have."""

    role = ma.fields.String(required=True, validate=ma.validate.OneOf(ROOM_ROLES), metadata={"example": "editor"})


class RoomMemberSchema(Shape):
    """Somebody in a room."""

    user_id = ma.fields.String(metadata={"description": "a person's id, or an API key's"})
    role = ma.fields.String(validate=ma.validate.OneOf(ROOM_ROLES))
    since = instant()
    email = ma.fields.String(
        allow_none=True, metadata={"description": "null for an API key, and for who was removed since"}
    )
    name = ma.fields.String(allow_none=True, metadata={"description": "null like `email`"})


_EXAMPLE: dict[str, Any] = {
    "user_id": "01920f3c-8a4e-7b2f-8c1d-000000000002",
    "role": "editor",
    "since": "2026-01-31T09:30:00.000Z",
    "email": "bob@acme.example",
    "name": "Bob",
}
_PAGE = page_of(RoomMemberSchema, "RoomMemberPage")


@blueprint.route("/v1/rooms/<id:room_id>/members", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, _PAGE, example={"items": [_EXAMPLE], "next_cursor": None})
@in_room(Operation.LIST_MEMBERS)
def list_room_members(query: dict[str, Any], room_id: str) -> Response:
    """List who is in a room, in the order in which they came to the organization."""
    who = caller()
    after = paging.position(who, query, paging.read_id) or ""
    found = services().room_members.page(who.org_id, room_id, after=after, limit=query["limit"] + 1)
    people = _people(who.org_id, [one.user_id for one in found])
    return paging.page(
        who, query, found, dump=lambda one: _shown(one, people.get(one.user_id)), place=lambda one: one.user_id
    )


@blueprint.route("/v1/rooms/<id:room_id>/members/<id:user_id>", methods=["PUT"])
@requires("admin", "member")
@blueprint.arguments(RoomRoleChange)
@blueprint.response(200, RoomMemberSchema, example=_EXAMPLE, description="They have that role")
@blueprint.alt_response(201, schema=RoomMemberSchema, example=_EXAMPLE, description="They came in, with that role")
@blueprint.doc(
    parameters=[preconditions.NEEDED],
    responses=openapi.errors("conflict", "precondition-failed", "precondition-required"),
)
@in_room(Operation.SET_MEMBER)
def put_room_member(asked: dict[str, Any], room_id: str, user_id: str) -> Response:
    """Give a person or an API key a role in a room, whose ETag `If-Match` names. The last owner stays one."""
    who = caller()
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send If-Match with the ETag that came with the room when you read it.")
    revision = revision_meant(room())
    person = _somebody(who.org_id, user_id)
    now, member, was = services().room_members.put(who, room_id, user_id, asked["role"], revision=revision)
    return replies.one(_shown(member, person), status=200 if was else 201, version=now.etag)


@blueprint.route("/v1/rooms/<id:room_id>/members/<id:user_id>", methods=["DELETE"])
@requires("admin", "member")
@blueprint.response(204, description="They see nothing of the room from now on")
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
@in_room(Operation.REMOVE_MEMBER, to_oneself=Operation.LEAVE_ROOM)
def remove_room_member(room_id: str, user_id: str) -> Response:
    """Take somebody out of a room, or leave it. The last owner can't go."""
    services().room_members.remove(caller(), room_id, user_id, revision=revision_meant(room()))
    return Response(status=204)


def _somebody(org_id: OrgId, user_id: str) -> Person | None:
    """Return the person of that id, or `None` for an API key. Raises `NotFound` if it is neither's."""
    with suppress(NotFound):
        return services().people.get(org_id, user_id)
    with suppress(NotFound):
        services().api_keys.get(org_id, user_id)
        return None
    raise NotFound("There is no such person in this organization, and no such API key.")


def _people(org_id: OrgId, user_ids: Sequence[str]) -> Mapping[str, Person]:
    """Return those of *user_ids* who are people of the organization, in one query."""
    found = services().control.users.find({"_id": {"$in": list(user_ids)}, "org_id": org_id})
    return {one["_id"]: read_person(one) for one in found}


def _shown(member: Member, person: Person | None) -> dict[str, Any]:
    return {
        "user_id": member.user_id,
        "role": member.role,
        "since": rfc3339(member.since),
        "email": person.email if person is not None else None,
        "name": person.name if person is not None else None,
    }
