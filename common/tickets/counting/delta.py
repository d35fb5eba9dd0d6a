"""What some changes of tickets change of the counts: one document, written in the transaction of the changes."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.ids import new_id
from common.tenancy.scope import OrgScope
from common.tickets.counting.cells import Cell, Counts, Place, no_counts, place_of, quarter_of, without_zeros
from common.tickets.counting.collections import DELTAS
from common.tickets.counting.facts import count, is_counted

Stored = Mapping[str, Any]
Change = tuple[Stored | None, Stored | None]
"""A stored ticket before and after; None where there is none."""


class Counted:
    """Counts by place, as tickets come and go."""

    def __init__(self) -> None:
        self.places: dict[Place, tuple[Cell, Counts]] = {}
        self.weight = 0

    def take(self, ticket: Stored, times: int = 1) -> None:
        """Count the stored *ticket*, or, with -1 *times*, count it no more; a deleted one counts nowhere."""
        if not is_counted(ticket):
            return
        self.weight += 1
        place = place_of(ticket)
        found = self.places.get(place)
        if found is None:
            found = self.places[place] = (Cell(), no_counts())
        count(ticket, found[0], times)
        found[1][str(quarter_of(ticket))] += times

    def parts(self) -> list[dict[str, Any]]:
        """Return what is kept of it, place by place, without what came to nothing."""
        found = []
        for place, (cell, quarters) in self.places.items():
            kept, quarters_kept = cell.stored(), without_zeros(quarters)
            if kept or quarters_kept:
                found.append(
                    {
                        "source_id": place.source_id,
                        "day": place.day,
                        "cell": place.cell,
                        "quarters": quarters_kept,
                        **kept,
                    }
                )
        return found


def delta_of(changes: Iterable[Change]) -> dict[str, Any] | None:
    """Return the document of what *changes* come to, or None if they leave all counts as they are."""
    counted = Counted()
    for before, after in changes:
        if before is not None:
            counted.take(before, -1)
        if after is not None:
            counted.take(after)
    parts = counted.parts()
    return {"_id": new_id(), "weight": counted.weight, "parts": parts} if parts else None


def note(scope: OrgScope, changes: Iterable[Change]) -> None:
    """Keep what *changes* come to; call it in the transaction that makes them."""
    if (delta := delta_of(changes)) is not None:
        scope[DELTAS].insert_one(delta)
