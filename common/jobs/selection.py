"""A selection of jobs by filter: what is counted, listed, retried or cancelled at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.ids import JobId, OrgId, first_id_at
from common.jobs.record import STATES

ENDED_BADLY = frozenset({"failed", "cancelled"})
ID_MAY_LAG = timedelta(minutes=1)
"""How much an id may be older than its record: a sign-up makes it before it hashes a password."""


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
        """Return MongoDB's filter; *before* leaves out this id and the younger ones.

        Ids sort by time, so bounds of time are bounds of the index. A kind without a state names all states: the
        index is then read once for each, and merged.
        """
        made: dict[str, Any] = {}
        ids: dict[str, str] = {}
        if self.made_after is not None:
            made["$gte"], ids["$gte"] = self.made_after, first_id_at(self.made_after - ID_MAY_LAG)
        if self.made_before is not None:
            made["$lt"], ids["$lt"] = self.made_before, first_id_at(self.made_before + ID_MAY_LAG)
        if before is not None:
            ids["$lt"] = min(before, ids.get("$lt", before))
        states = self.states or (STATES if self.kind is not None and self.org_id is not None else ())
        conditions: dict[str, Any] = {
            "org_id": self.org_id,
            "kind": {"$eq": self.kind} if self.kind is not None else None,
            "state": {"$in": list(states)} if states else None,
            "created_at": made or None,
            "finished_at": {"$lte": self.ended_by} if self.ended_by is not None else None,
            "_id": ids or None,
        }
        return {name: condition for name, condition in conditions.items() if condition is not None}

    @property
    def hint(self) -> str | None:
        """Name the index that has what is asked for, and nothing else, newest first; `None`: the server chooses.

        Chosen by trial, a plan that was good for a common kind would be kept for a rare one.
        """
        if self.org_id is None:
            return "ended_badly" if self.states and set(self.states) <= ENDED_BADLY else None
        if self.kind is not None:
            return "org_kind"
        return "org_state" if self.states else "org_newest"
