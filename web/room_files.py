"""The files of a room: sent, listed, taken out. What is sent goes from the socket to the store; a job imports it.

A file comes as a form's part, or as the raw body with its name in `Content-Disposition`; both are hashed and
stored as they come, and never held in memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import marshmallow as ma
from flask import Response, request

from common.caller import Caller
from common.errors import Fault, Invalid, NotParseable, TooLarge, Unauthenticated
from common.files import ledger, sharing
from common.files.collections import FILES, ROOM_FILES
from common.files.import_upload import ImportUpload
from common.files.names import clean_name
from common.files.rights import Operation
from common.files.sharing import Deed
from common.ids import JobId
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.storage.blob_store import Blob
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import caller, lasting, requires
from web.contract.bodies import Body
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.replayed import Hashed, is_known
from web.contract.services import services
from web.contract.uploads import FRAMING_MAX_BYTES, Destination, Received, receive
from web.file_document import EXAMPLE, FilePage, shown
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump
from web.room_access import enter, in_room
from web.upload_names import NAME_HEADER, name_in_header

blueprint = Blueprint("room_files", __name__, tag="Files", scope="files")
OPERATION = "files.add"
CHUNK_BYTES = 1024 * 1024
_BINARY = {"type": "string", "format": "binary", "maxLength": 2**40}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": _BINARY | {"description": "of at most FAIRWAY_FILE_MAX_BYTES bytes"},
                    "name": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 1_000,
                        "description": "what it is called in the room; the part's filename, if left out",
                        "example": "reports/may.csv",
                    },
                },
            }
        },
        "application/octet-stream": {"schema": _BINARY},
    },
}


UNPACK: dict[str, Any] = {
    "name": "unpack",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": True},
    "description": "false: a zip is kept as the file that it is; else its entries are imported",
}
"""The parameter as the document shows it: what is said of parameters by hand takes the place of what is known."""


class UploadQuery(ma.Schema):
    """How a file is imported."""

    unpack = ma.fields.Boolean(
        load_default=True,
        truthy={"true"},
        falsy={"false"},
    )


@blueprint.route("/v1/rooms/<id:room_id>/files", methods=["POST"])
@requires("admin", "member")
@blueprint.arguments(UploadQuery, location="query")
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": ImportUpload.name})
@blueprint.doc(
    parameters=[UNPACK, idempotency.PARAMETER, NAME_HEADER],
    requestBody=_BODY,
    responses=openapi.errors("not-parseable", "conflict", "too-large", "wrong-media-type"),
)
@in_room(Operation.ADD_FILE)
def add_file(query: dict[str, Any], room_id: str) -> Response:
    """Share a file: a form with the part `file`, or the raw body with its name in `Content-Disposition`.

    It is stored as it comes in; the answer is a job that imports it. A zip is unpacked, unless `unpack=false`.
    """
    who = caller()
    still_holds = lasting()
    services().registry.get(who.org_id)  # without MongoDB nothing is accepted: say so before the file comes
    incoming = _form() if request.mimetype == "multipart/form-data" else _raw()
    with _destination(who, incoming.announced_bytes) as (destination, job_id):
        received = incoming.receive(destination)
        if not still_holds():
            raise Unauthenticated("The credentials ended while the file came. Sign in, and send it again.")
        enter(room_id, Operation.ADD_FILE)  # roles may have changed meanwhile, and the room may be gone
        record = _accept(who, room_id, received, unpack=query["unpack"], job_id=job_id)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


@blueprint.route("/v1/rooms/<id:room_id>/files", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, FilePage, example={"items": [EXAMPLE], "next_cursor": None})
@in_room(Operation.LIST_FILES)
def list_files(query: dict[str, Any], room_id: str) -> Response:
    """List the files of a room, those first that were added last."""
    who = caller()
    scope = services().scope(who.org_id)
    where: dict[str, Any] = {"room_id": room_id}
    before = paging.position(who, query, paging.read_id)
    if before is not None:
        where["_id"] = {"$lt": before}
    found = list(scope[ROOM_FILES].find(where, sort=[("_id", -1)], limit=query["limit"] + 1))
    ids = [one["file_id"] for one in found]
    files = {one["_id"]: one for one in scope[FILES].find({"_id": {"$in": ids}})}
    there = [one for one in found if one["file_id"] in files]  # one may have been removed between the two reads
    return paging.page(
        who, query, there, dump=lambda one: shown(files[one["file_id"]], one), place=lambda one: one["_id"]
    )


@blueprint.route("/v1/rooms/<id:room_id>/files/<id:file_id>", methods=["DELETE"])
@requires("admin", "member")
@blueprint.response(204, description="It is in this room no more; its bytes go with the last room that had it")
@in_room(Operation.REMOVE_FILE)
def remove_file(room_id: str, file_id: str) -> Response:
    """Take a file out of a room."""
    who, made = caller(), services()
    now = made.clock.now()
    scope = made.scope(who.org_id)
    doomed = sharing.remove(scope, room_id, file_id, Deed(who.user_id, who.request_id, now))
    ledger.delete(scope, made.blobs, doomed, now)
    made.storage.tell(who.org_id)
    return Response(status=204)


class _Incoming:
    """A body on its way: how much it brings at least, and how it is received."""

    def __init__(self, announced_bytes: int, receive_into: Callable[[Destination], Received]) -> None:
        self.announced_bytes = announced_bytes
        self.receive = receive_into


def _form() -> _Incoming:
    max_bytes = services().settings.file_max_bytes
    # What a form has around its file is not known before; its end is reserved when it comes.
    announced = max(0, (request.content_length or 0) - FRAMING_MAX_BYTES)
    if announced > max_bytes:
        raise TooLarge(f"A file has at most {max_bytes} bytes.", extra={"limit_bytes": max_bytes})

    def receive_into(destination: Destination) -> Received:
        found = receive(destination, file="file", fields=frozenset({"name"}), max_bytes=max_bytes)
        return Received(found.blob, _clean(found.fields.get("name", found.filename), "/name"), found.head, {})

    return _Incoming(announced, receive_into)


def _raw() -> _Incoming:
    name = _clean(name_in_header(), "Content-Disposition")
    if request.content_length is None:  # nothing would tell its end from where it was cut off
        raise NotParseable("Send the file as the body with its Content-Length; in chunks, send it as a form.")
    body = Body(request, services().settings.file_max_bytes, "A file", chunk_bytes=CHUNK_BYTES)

    def receive_into(destination: Destination) -> Received:
        return Received(destination.save(iter(body.read, b"")), name, b"", {})

    return _Incoming(request.content_length, receive_into)


@contextmanager
def _destination(who: Caller, announced_bytes: int) -> Iterator[tuple[Destination, JobId | None]]:
    """Give what takes the bytes: the store, or for a key that was used before only their hash."""
    if is_known(OPERATION, who.org_id):
        yield Hashed(), None
        return
    max_bytes = services().settings.file_max_bytes
    with services().uploads.begin(who.org_id, announced_bytes=announced_bytes, max_bytes=max_bytes) as upload:
        services().storage.tell(who.org_id)
        yield upload, upload.job_id


def _accept(who: Caller, room_id: str, received: Received, *, unpack: bool, job_id: JobId | None) -> JobRecord:
    blob: Blob = received.blob
    used = once(
        OPERATION,
        scope=who.org_id,
        request_parts=[room_id, received.filename, blob.sha256, unpack],
        answer=lambda record: Answer(202, dump(record), accepted_headers(record)),
    )
    if job_id is None:
        raise Hashed.must_be_sent_again(used)
    job = ImportUpload(
        room_id=room_id,
        blob_id=blob.id,
        filename=received.filename,
        size_bytes=blob.size_bytes,
        sha256=blob.sha256,
        unpack=unpack,
    )
    return services().submit(who, job, job_id=job_id, once=used)


def _clean(name: str, where: str) -> str:
    try:
        return clean_name(name)
    except ValueError as error:
        kind = "pointer" if where.startswith("/") else "header"
        raise Invalid("This file name can't be kept.", [Fault(str(error), where, kind)]) from error
