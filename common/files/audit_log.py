"""The audit log: who did what to which room and file. Append-only, in the transaction of the change itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

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
    "file.removed",
    "file.downloaded",
]
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True)
class Entry:
    """One thing that somebody did; *subject_id* is whom it was done to, *detail* what else is worth telling."""

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


def append(scope: OrgScope, *entries: Entry) -> None:
    """Write down *entries*; *scope* is that of the transaction that makes the change."""
    if entries:
        scope[AUDIT_LOG].insert_many([one.document() for one in entries])
