"""The totals of quarter hours: what octets keep of them, what waits, and what a cut leaves of them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from common.analytics.asked import Asked
from common.analytics.ranges import Piece
from common.analytics.trends import Totals, instant_of, quarter_at
from common.tenancy.scope import OrgScope
from common.tickets.counting.cells import CELL, OCTET, QUARTERS_A_DAY
from common.tickets.counting.collections import ROLLUPS
from common.tickets.counting.sums import QUARTERS_AN_OCTET, unpacked

_TICK = timedelta(milliseconds=1)
"""As fine as MongoDB keeps an instant."""


class Quarters:
    """The totals by quarter hour of the octets that the range touches."""

    def __init__(self, scope: OrgScope, asked: Asked, waiting: Sequence[Mapping[str, Any]]) -> None:
        self._asked = asked
        self._first = quarter_at(asked.start)
        self._end = quarter_at(asked.end - _TICK) + 1
        octets = range(self._first // QUARTERS_AN_OCTET, (self._end - 1) // QUARTERS_AN_OCTET + 1)
        self._base = octets[0] * QUARTERS_AN_OCTET
        self._counts = [0] * (len(octets) * QUARTERS_AN_OCTET)
        blocks = {"$gte": octets[0], "$lte": octets[-1]}
        where = {"source_id": asked.source_id, "span": OCTET, "block": blocks, "quarters": {"$exists": True}}
        for one in scope[ROLLUPS].find_all(where, projection={"block": 1, "quarters": 1}):
            at = one["block"] * QUARTERS_AN_OCTET - self._base
            self._counts[at : at + QUARTERS_AN_OCTET] = unpacked(one["quarters"])
        for part in waiting:
            at = part["day"] * QUARTERS_A_DAY - self._base
            for number, n in part["quarters"].items():
                if 0 <= at + int(number) < len(self._counts):
                    self._counts[at + int(number)] += n

    def totals(self, within: Mapping[int, int]) -> Totals:
        """Return them for the range; *within* as `Totals` has it."""
        counts = self._counts[self._first - self._base : self._end - self._base]
        return Totals.of(self._asked.start, self._asked.end, counts, within)

    def of(self, quarter: int) -> int:
        """Return how many a quarter hour has."""
        return self._counts[quarter - self._base]

    def shares(self, piece: Piece) -> tuple[int, int, int]:
        """Return how many lie in a piece for sure, in the quarter hours that it cuts through, and in the rest."""
        start, end = quarter_at(piece.cell.start), quarter_at(piece.cell.start + CELL)
        first, last = quarter_at(piece.start), quarter_at(piece.end - _TICK) + 1
        cut_through = sum(self.of(quarter) for quarter in _cut_through(piece))
        inside = sum(map(self.of, range(first, last))) - cut_through
        whole = sum(map(self.of, range(start, end)))
        return inside, cut_through, whole - inside - cut_through

    def settle(self, piece: Piece, counted: Mapping[int, int], *, is_rest: bool = False) -> None:
        """Set what the quarter hours have that a piece cuts through: what was *counted* there, or all but that."""
        for quarter in _cut_through(piece):
            n = counted.get(quarter, 0)
            self._counts[quarter - self._base] = self.of(quarter) - n if is_rest else n


def _cut_through(piece: Piece) -> set[int]:
    edges = {quarter_at(edge): edge for edge in (piece.start, piece.end)}
    return {quarter for quarter, edge in edges.items() if instant_of(quarter) != edge}
