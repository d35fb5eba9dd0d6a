"""The audit log: who did what to which room and file. Append-only, in the transaction of the change itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from common.caller import Caller
from common.files.collections import AUDIT_LOG
from common.ids import new_id
from common.tenancy.scope import OrgScope

Action = Literal[
    "room.created",
    "room.changed",
    "room.deleted",
    "member.set",
    "member.removed",
    "file.added",
    "files.added",
    "file.removed",
    "files.removed",
    "file.downloaded",
]
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True)
class Entry:
    """One thing that somebody did; *subject_id* is whom it was done to, *detail* what else is worth telling.

    What is done to many files at once, as the entries of an archive, is one entry that names them in its detail.
    """

    action: Action
    room_id: str | None
    actor_id: str
    at: datetime
    request_id: str
    file_id: str | None = None
    subject_id: str | None = None
    job_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as MongoDB keeps it."""
        return {
            "_id": new_id(),
            "created_at": self.at,
            "action": self.action,
            "room_id": self.room_id,
            "file_id": self.file_id,
            "actor_id": self.actor_id,
            "subject_id": self.subject_id,
            "request_id": self.request_id,
            "job_id": self.job_id,
            "detail": dict(self.detail),
        }


def entry_by(
    who: Caller,
    action: Action,
    room_id: str,
    *,
    at: datetime,
    subject_id: str | None = None,
    job_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Entry:
    """Return what *who* does to a room or somebody in it, as an entry."""
    return Entry(
        action=action,
        room_id=room_id,
        actor_id=who.user_id,
        at=at,
        request_id=who.request_id,
        subject_id=subject_id,
        job_id=job_id,
        detail=detail or {},
    )


def append(scope: OrgScope, *entries: Entry) -> None:
    """Write down *entries*; *scope* is that of the transaction that makes the change."""
    if entries:
        scope[AUDIT_LOG].insert_many([one.document() for one in entries])


@dataclass(frozen=True)
class Place:
    """Where an entry stands in the log."""

    at: datetime
    entry_id: str


@dataclass(frozen=True)
class Filter:
    """Which entries are asked for; *since* is included, *until* is not."""

    room_id: str | None = None
    action: Action | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def index(self) -> str:
        """Name the index that has the entries in their order, so that none is read but to be shown.

        Of two filters the first here decides, and the entries that it finds are held against the other.
        """
        if self.room_id is not None:
            return "room"
        if self.actor_id is not None:
            return "actor"
        return "action" if self.action is not None else "newest"

    def where(self, before: Place | None = None) -> dict[str, Any]:
        """Return the condition for MongoDB, for entries that are older than *before*."""
        asked = {"room_id": self.room_id, "action": self.action, "actor_id": self.actor_id}
        where: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        if self.room_id is not None and self.action is None:
            # The index of rooms has the action before the time: one scan for each, merged in the order of time.
            where["action"] = {"$in": list(ACTIONS)}
        bounds = {"$gte": self.since, "$lt": self.until, "$lte": before.at if before else None}
        if any(bounds.values()):
            where["created_at"] = {operator: at for operator, at in bounds.items() if at is not None}
        if before is not None:  # bounds that an index takes, less the few of the same millisecond
            where["$nor"] = [{"created_at": before.at, "_id": {"$gte": before.entry_id}}]
        return where


NEWEST: Sequence[tuple[str, int]] = (("created_at", -1), ("_id", -1))


def page(scope: OrgScope, asked: Filter, *, before: Place | None, limit: int) -> list[dict[str, Any]]:
    """List up to *limit* entries, the newest first, from *before* on, as MongoDB keeps them."""
    found = scope[AUDIT_LOG].find(asked.where(before), sort=NEWEST, limit=limit, hint=asked.index)
    return list(found)
