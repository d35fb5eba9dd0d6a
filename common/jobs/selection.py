"""A selection of jobs by filter: what is counted, listed, retried or cancelled at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.ids import JobId, OrgId


@dataclass(frozen=True)
class Selection:
    """Jobs of one organization (`None`: of all, for operators), each condition optional.

    *made_after* is included, *made_before* is not; *ended_by* leaves out what has ended later.
    """

    org_id: OrgId | None
    kind: str | None = None
    states: Sequence[str] = ()
    made_after: datetime | None = None
    made_before: datetime | None = None
    ended_by: datetime | None = None

    def query(self, before: JobId | str | None = None) -> dict[str, Any]:
        """Return MongoDB's filter; *before* leaves out this id and the younger ones."""
        made: dict[str, Any] = {}
        if self.made_after is not None:
            made["$gte"] = self.made_after
        if self.made_before is not None:
            made["$lt"] = self.made_before
        conditions: dict[str, Any] = {
            "org_id": self.org_id,
            "kind": {"$eq": self.kind} if self.kind is not None else None,
            "state": {"$in": list(self.states)} if self.states else None,
            "created_at": made or None,
            "finished_at": {"$lte": self.ended_by} if self.ended_by is not None else None,
            "_id": {"$lt": before} if before is not None else None,
        }
        return {name: condition for name, condition in conditions.items() if condition is not None}
