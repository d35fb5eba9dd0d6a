"""What is counted of an organization's tickets, as it is kept and as it has to be."""

from typing import Any

from common.tenancy.scope import OrgScope
from common.tickets.collections import TICKETS
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.delta import Counted
from common.tickets.counting.sums import Key, Rollup, summed


def kept_counts(scope: OrgScope) -> dict[Key, Any]:
    """Return all rollups, with the deltas that wait added, without those that are empty."""

    def read(inner: OrgScope) -> dict[Key, Rollup]:
        kept = summed(part for one in inner[DELTAS].find() for part in one["parts"])
        for one in inner[ROLLUPS].find():
            key = Key(one["source_id"], one["span"], one["block"])
            kept.setdefault(key, Rollup()).add(Rollup.restored(one))
        return kept

    return _shown(scope.transaction(read))


def recounted(scope: OrgScope) -> dict[Key, Any]:
    """Return what the tickets themselves come to."""
    counted = Counted()
    for ticket in scope[TICKETS].find():
        counted.take(ticket)
    return _shown(summed(counted.parts()))


def _shown(rollups: dict[Key, Rollup]) -> dict[Key, Any]:
    return {
        key: ({number: cell for number, cell in one.cells.items() if cell}, one.quarters)
        for key, one in rollups.items()
        if not one.is_empty
    }
