"""What a page of records comes to: ready to be written, in one transaction, as often as that is tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from pymongo.errors import BulkWriteError

from common.errors import JobFailed
from common.tenancy.scope import OrgScope
from common.tickets import tombstones
from common.tickets.collections import HISTORY, TICKETS
from common.tickets.counting.collections import DELTAS
from common.tickets.reading.rows import Refusal

Document = Mapping[str, Any]
Update = tuple[Mapping[str, Any], Mapping[str, Any]]
_DUPLICATE_KEY = 11_000
_TOO_LARGE_FOR_CACHE = 388


class Overtaken(Exception):
    """Somebody else changed a ticket between our reading and our writing; nothing was written."""


@dataclass(frozen=True)
class Tally:
    """Records by what became of them; *repeated* ones came more than once and stood back."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    returned: int = 0
    deleted: int = 0
    repeated: int = 0
    refused: int = 0

    def __add__(self, other: Self) -> "Tally":
        return Tally(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Plan:
    """Documents and updates with all their ids, made before the transaction that may be repeated.

    It *is_overtaken* if what it was made from was no longer so when it was made.
    """

    counts: Tally = Tally()
    refusals: Sequence[Refusal] = ()
    inserts: Sequence[Document] = ()
    updates: Sequence[Update] = ()
    history: Sequence[Document] = ()
    buried: Sequence[Document] = ()
    risen: Sequence[str] = ()
    delta: Document | None = None
    is_overtaken: bool = False

    @property
    def touched(self) -> list[str]:
        """Name the tickets that are written to."""
        return [one["_id"] for one in self.inserts] + [where["_id"] for where, _ in self.updates]

    def write(self, scope: OrgScope) -> None:
        """Write all of it; call it in a transaction.

        Raises `Overtaken` if a ticket is no longer as it was read, or a new one is there already, and `JobFailed`
        for more words at once than the server can index in one transaction.
        """
        if self.is_overtaken:
            raise Overtaken
        try:
            self._write(scope)
        except BulkWriteError as error:
            codes = {one["code"] for one in error.details["writeErrors"]}
            if _DUPLICATE_KEY in codes:
                raise Overtaken from error
            if _TOO_LARGE_FOR_CACHE in codes:
                raise JobFailed(
                    "That is more text than can be written at once. Ask for smaller pages.", code="page-too-large"
                ) from error
            raise

    def _write(self, scope: OrgScope) -> None:
        if self.inserts:
            scope[TICKETS].insert_many(self.inserts)
        if self.updates and scope[TICKETS].update_each(self.updates) != len(self.updates):
            raise Overtaken
        if self.history:
            scope[HISTORY].insert_many(self.history)
        if self.delta is not None:
            scope[DELTAS].insert_one(self.delta)
        if self.risen:
            tombstones.take_away(scope, self.risen)
        tombstones.lay(scope, self.buried)
