"""What the API shows of rooms and files, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from fairway.models import Model

RoomRole = Literal["viewer", "editor", "owner"]
Outcome = Literal["new", "deduplicated", "refused", "pending"]


@dataclass(frozen=True, kw_only=True)
class Room(Model):
    """A room that people share files in; *role* is one's own there."""

    id: str
    name: str
    description: str
    created_by: str
    created_at: str
    updated_at: str
    members: int
    files: int
    role: RoomRole | None
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RoomMember(Model):
    """Somebody in a room: a person, or an API key, which has no address."""

    user_id: str
    role: RoomRole
    since: str
    email: str | None
    name: str | None


@dataclass(frozen=True, kw_only=True)
class File(Model):
    """A file in a room; its *id* names the content, so that the same bytes have one id wherever they are."""

    id: str
    name: str
    names: Sequence[str]
    size_bytes: int
    sha256: str
    media_type: str
    state: Literal["ready", "unreadable"]
    found: Mapping[str, Any]
    problem: str | None
    added_by: str
    added_at: str
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FileRoom(Model):
    """A room that has a file, and what the file is called there."""

    room_id: str
    room_name: str
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class SharedFile(File):
    """A file with those of its rooms that one may look into."""

    rooms: Sequence[FileRoom]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read the API's *document*."""
        return super().read({**document, "rooms": [FileRoom.read(one) for one in document["rooms"]]})


@dataclass(frozen=True, kw_only=True)
class Entry(Model):
    """An entry of an archive that was sent, and what became of it."""

    number: int
    name: str
    size_bytes: int
    outcome: Outcome
    file_id: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Storage(Model):
    """How much the organization stores, of how much."""

    files: int
    stored_bytes: int
    reserved_bytes: int
    limit_bytes: int
    share: float
    level: Literal["ok", "warning", "full"]


@dataclass(frozen=True, kw_only=True)
class AuditLogEntry(Model):
    """Something that somebody did to a room, a file, or somebody in a room."""

    id: str
    action: str
    room_id: str | None
    file_id: str | None
    subject_id: str | None
    actor_id: str
    request_id: str
    job_id: str | None
    detail: Mapping[str, Any]
    created_at: str
