"""Archives: everything that an organization has in one file, and restoring one into an empty organization."""

from typing import Any

import marshmallow as ma
from flask import Response, request

from common.caller import Caller
from common.clock import rfc3339
from common.errors import WrongMediaType
from common.ids import JobId
from common.jobs.idempotency import Answer
from common.jobs.record import JobRecord
from common.organizations.archives import Archive
from common.organizations.export import ExportOrganization
from common.organizations.import_archive import ImportArchive
from common.storage.blob_store import Blob
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import caller, requires
from web.contract.bodies import Body
from web.contract.contents import BINARY, streamed
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump

blueprint = Blueprint("archives", __name__, tag="Archives", scope="organization")

MEDIA_TYPE = "application/zip"
_FILE = {
    "required": True,
    "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary", "maxLength": 2**40}}},
}


class ArchiveSchema(Shape):
    """An archive."""

    id = ma.fields.String()
    size_bytes = ma.fields.Integer()
    sha256 = ma.fields.String()
    documents = ma.fields.Integer()
    created_at = instant()
    links = links()


_EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "size_bytes": 1048576,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "documents": 12345,
    "created_at": "2026-01-31T09:30:00.000Z",
    "links": {"content": "/v1/archives/01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f/content"},
}


@blueprint.route("/v1/archives", methods=["POST"])
@requires("admin")
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": ExportOrganization.name})
@blueprint.doc(parameters=[idempotency.PARAMETER])
def export_organization() -> Response:
    """Write all that the organization has into an archive; the job's result links it. Twenty are kept."""
    who = caller()
    used = once("archives.make", scope=who.org_id, request_parts=[], answer=_accepted)
    record = services().submit(who, ExportOrganization(), once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


@blueprint.route("/v1/archives", methods=["GET"])
@requires("admin")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(ArchiveSchema, "ArchivePage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_archives(query: dict[str, Any]) -> Response:
    """List the organization's archives, the newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().archives.page(who.org_id, before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_shown, place=lambda one: one.archive_id)


@blueprint.route("/v1/archives/<id:archive_id>", methods=["GET"])
@requires("admin")
@blueprint.response(200, ArchiveSchema, example=_EXAMPLE)
def get_archive(archive_id: str) -> Response:
    """Show an archive."""
    return replies.one(_shown(services().archives.get(caller().org_id, archive_id)))


@blueprint.route("/v1/archives/<id:archive_id>/content", methods=["GET"])
@requires("admin")
@blueprint.response(200, BINARY, content_type=MEDIA_TYPE, example="PK…")
@blueprint.alt_response(206, schema=BINARY, content_type=MEDIA_TYPE, example="PK…")
@blueprint.alt_response(416, description="There is no such range")
def download_archive(archive_id: str) -> Response:
    """Download an archive: a zip of BSON files. Ranges are served, so that a download can be resumed."""
    archive = services().archives.get(caller().org_id, archive_id)
    return streamed(
        archive.blob_id,
        f"fairway-{archive_id}.zip",
        size_bytes=archive.size_bytes,
        sha256=archive.sha256,
        media_type=MEDIA_TYPE,
        created_at=archive.created_at,
    )


@blueprint.route("/v1/archives/<id:archive_id>", methods=["DELETE"])
@requires("admin")
@blueprint.response(204, description="It is gone, with its bytes")
def delete_archive(archive_id: str) -> Response:
    """Delete an archive."""
    services().archives.delete(caller().org_id, archive_id)
    return Response(status=204)


@blueprint.route("/v1/archives/restorations", methods=["POST"])
@requires("admin")
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": ImportArchive.name})
@blueprint.doc(
    parameters=[idempotency.PARAMETER],
    requestBody=_FILE,
    responses=openapi.errors("not-parseable", "conflict", "too-large", "wrong-media-type"),
)
def restore_archive() -> Response:
    """Restore an archive of this installation into this organization, which must have no data yet.

    People come back invited; jobs as a record of what was; events and API keys stay in the archive.
    """
    who = caller()
    idempotency.key()
    services().registry.get(who.org_id)  # without MongoDB nothing is accepted: say so before the file comes
    if request.mimetype != MEDIA_TYPE:
        raise WrongMediaType(f"Send the archive as the body, with Content-Type: {MEDIA_TYPE}.")
    max_bytes = services().settings.archive_max_bytes
    body = Body(request, max_bytes, "An archive")
    with services().uploads.begin(who.org_id, max_bytes=max_bytes) as upload:
        record = _accept(who, upload.save(iter(body.read, b"")), upload.job_id)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


def _accept(who: Caller, blob: Blob, job_id: JobId) -> JobRecord:
    used = once("archives.restore", scope=who.org_id, request_parts=[blob.sha256], answer=_accepted)
    return services().submit(who, ImportArchive(blob_id=blob.id), job_id=job_id, once=used)


def _accepted(record: JobRecord) -> Answer:
    return Answer(202, dump(record), accepted_headers(record))


def _shown(archive: Archive) -> dict[str, Any]:
    return {
        "id": archive.archive_id,
        "size_bytes": archive.size_bytes,
        "sha256": archive.sha256,
        "documents": archive.documents,
        "created_at": rfc3339(archive.created_at),
        "links": {"content": f"/v1/archives/{archive.archive_id}/content"},
    }
