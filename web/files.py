"""Files, whatever room one sees them from: what they are, and their bytes."""

from http import HTTPStatus
from typing import Any

from flask import Response, redirect, request

from common.errors import NotFound
from common.files import audit_log
from common.files.audit_log import Entry
from common.files.collections import FILES
from common.files.names import last_part
from common.files.rights import Operation
from web.contract import openapi, replies
from web.contract.authentication import caller, requires
from web.contract.contents import BINARY, RANGES, streamed
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.file_document import SHARED_EXAMPLE, SharedFileSchema, shown
from web.room_access import FILE_ABSENT, Linked, in_any_room_of_file, rooms_of_file

blueprint = Blueprint("files", __name__, tag="Files", scope="files")

URL_LASTS_S = 60
OPAQUE = "application/octet-stream"
_WITH_BYTES = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_INERT = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "text/csv", "audio/mpeg", "video/mp4"}
)
"""What a browser may be told the type of: nothing in it can run. All else is bytes."""


@blueprint.route("/v1/files/<id:file_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, SharedFileSchema, example=SHARED_EXAMPLE)
@in_any_room_of_file(Operation.SHOW_FILE)
def get_file(file_id: str) -> Response:
    """Show a file, and the rooms that have it, of those that one may look into."""
    file, visible = _file(file_id), rooms_of_file()
    rooms = [
        {"room_id": one.room.room_id, "room_name": one.room.name, "names": one.link["names"]} for one in visible
    ]
    return replies.one({**shown(file, visible[0].link), "rooms": rooms})


@blueprint.route("/v1/files/<id:file_id>/content", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, BINARY, content_type=OPAQUE, example="…")
@blueprint.alt_response(206, schema=BINARY, content_type=OPAQUE, example="…")
@blueprint.alt_response(304, description="The caller has it already")
@blueprint.alt_response(307, description="Where the bytes are to be had, for a minute, without credentials")
@blueprint.doc(parameters=RANGES, responses=openapi.errors("range-not-satisfiable"))
@in_any_room_of_file(Operation.READ_FILE)
def download_file(file_id: str) -> Response:
    """Download a file. Ranges are served, so that a download can be resumed; the ETag is the content's hash.

    It always comes as an attachment, and with a type that runs nothing.
    """
    file, here = _file(file_id), rooms_of_file()[0]
    name = last_part(here.link["names"][0])
    media_type = file["media_type"] if file["media_type"] in _INERT else OPAQUE
    elsewhere = None
    if request.method == "GET":  # an address is worth the bytes, so who looks at the headers gets none
        elsewhere = services().blobs.url(
            file["blob_id"], filename=name, media_type=media_type, inline=False, lasts_s=URL_LASTS_S
        )
    if elsewhere is not None:
        _note(file_id, here)
        return redirect(elsewhere, 307)  # type: ignore[return-value]
    response = streamed(
        file["blob_id"],
        name,
        size_bytes=file["size_bytes"],
        sha256=file["sha256"],
        media_type=media_type,
        created_at=file["created_at"],
    )
    if request.method == "GET" and response.status_code in _WITH_BYTES:
        _note(file_id, here)
    return response


def _file(file_id: str) -> dict[str, Any]:
    found = services().scope(caller().org_id)[FILES].find_one({"_id": file_id})
    if found is None:
        raise NotFound(FILE_ABSENT)
    return found


def _note(file_id: str, here: Linked) -> None:
    """Write the download down, with the part that was asked for: who takes all but the first byte has it too."""
    who, made = caller(), services()
    entry = Entry(
        action="file.downloaded",
        room_id=here.room.room_id,
        file_id=file_id,
        actor_id=who.user_id,
        at=made.clock.now(),
        request_id=who.request_id,
        detail={"range": request.headers["Range"][:100]} if "Range" in request.headers else {},
    )
    audit_log.append(made.scope(who.org_id), entry)
