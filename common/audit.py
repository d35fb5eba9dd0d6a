"""The audit: who changed what in the platform's operation. Append-only; written before the change is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import DESCENDING, IndexModel

from common.clock import Clock
from common.ids import new_id
from common.tenancy.control import ControlPlane

AUDIT_INDEXES: Sequence[IndexModel] = (IndexModel([("action", 1), ("_id", DESCENDING)], name="action"),)


@dataclass(frozen=True)
class Actor:
    """Who acts: an operator over the API, or whoever has the command line."""

    name: str
    via: str
    request_id: str | None = None


class Audit:
    """The audit of the control plane."""

    def __init__(self, control: ControlPlane, clock: Clock) -> None:
        self._entries = control.audit
        self._clock = clock

    def note(self, actor: Actor, action: str, subject: str) -> None:
        """Write down that *actor* is about to do *action* to *subject*; with majority, before it is done."""
        self._entries.insert_one(
            {
                "_id": new_id(),
                "at": self._clock.now(),
                "actor": actor.name,
                "via": actor.via,
                "request_id": actor.request_id,
                "action": action,
                "subject": subject,
            }
        )

    def page(self, *, limit: int, before: str | None = None, action: str | None = None) -> list[dict[str, Any]]:
        """Return the newest *limit* entries made before the entry *before*."""
        where: dict[str, Any] = {} if before is None else {"_id": {"$lt": before}}
        if action is not None:
            where["action"] = {"$eq": action}
        return list(self._entries.find(where, sort=[("_id", DESCENDING)], limit=limit))
