"""A file as the API shows it: its shape for the document, and the functions that make it."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from common.clock import rfc3339
from web.contract.shapes import Shape, instant, links, page_of

STATES = ("ready", "unreadable")


class FileSchema(Shape):
    """A file in a room."""

    id = ma.fields.String(metadata={"description": "names the content: the same bytes have one id in all rooms"})
    name = ma.fields.String(metadata={"description": "what it was first called here"})
    names = ma.fields.List(ma.fields.String(), metadata={"description": "all that it is called here"})
    size_bytes = ma.fields.Integer()
    sha256 = ma.fields.String()
    media_type = ma.fields.String(metadata={"description": "by its content, never by its name"})
    state = ma.fields.String(
        validate=ma.validate.OneOf(STATES),
        metadata={"description": "unreadable: stored whole, but its content could not be examined; see problem"},
    )
    found = ma.fields.Dict(
        metadata={
            "description": "what is cheap to know: rows and columns, pages, width_px and height_px, encoding"
        }
    )
    problem = ma.fields.String(allow_none=True)
    added_by = ma.fields.String()
    added_at = instant()
    links = links()


class FileRoom(Shape):
    """A room that has a file."""

    room_id = ma.fields.String()
    room_name = ma.fields.String()
    names = ma.fields.List(ma.fields.String())


class SharedFileSchema(FileSchema):
    """A file with the rooms that have it, of those that one may look into; at most 100."""

    rooms = ma.fields.List(ma.fields.Nested(FileRoom))


FilePage = page_of(FileSchema, "FilePage")

EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-000000000010",
    "name": "reports/may.csv",
    "names": ["reports/may.csv"],
    "size_bytes": 20480,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "media_type": "text/csv",
    "state": "ready",
    "found": {"encoding": "utf-8", "delimiter": ",", "rows": 250, "columns": 6},
    "problem": None,
    "added_by": "01920f3c-8a4e-7b2f-8c1d-000000000002",
    "added_at": "2026-01-31T09:30:00.000Z",
    "links": {
        "self": "/v1/files/01920f3c-8a4e-7b2f-8c1d-000000000010",
        "content": "/v1/files/01920f3c-8a4e-7b2f-8c1d-000000000010/content",
    },
}
SHARED_EXAMPLE: dict[str, Any] = EXAMPLE | {
    "rooms": [
        {
            "room_id": "01920f3c-8a4e-7b2f-8c1d-000000000020",
            "room_name": "Reports",
            "names": ["reports/may.csv"],
        }
    ]
}


def shown(file: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, Any]:
    """Return *file* as the API shows it in the room of *link*."""
    here = f"/v1/files/{file['_id']}"
    return {
        "id": file["_id"],
        "name": link["names"][0],
        "names": link["names"],
        "size_bytes": file["size_bytes"],
        "sha256": file["sha256"],
        "media_type": file["media_type"],
        "state": "ready" if file["problem"] is None else "unreadable",
        "found": file["found"],
        "problem": file["problem"],
        "added_by": link["added_by"],
        "added_at": rfc3339(link["added_at"]),
        "links": {"self": here, "content": f"{here}/content"},
    }
