"""Rollups, the deltas that no rollup has yet, and tickets, summed up over a range; all as of one moment."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from common.analytics.asked import Asked
from common.analytics.quarters import Quarters
from common.analytics.ranges import Block, CellNo, Piece, cut, parts_of
from common.analytics.tops import Part, largest
from common.analytics.trends import QUARTER_S, Totals, instant_of, quarter_at, second_of
from common.analytics.zones import changes
from common.tenancy.scope import OrgScope
from common.tickets.collections import LIVE, TICKETS
from common.tickets.counting.cells import CELL, DAY, GROUPS, Cell
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.facts import FIELDS, count
from common.tickets.counting.packing import PACKED

FEW = 2_000
"""How many tickets of a quarter hour may lie at either side of a cut before they are counted to choose a side."""

AT_ONCE = 2_000
"""How many tickets come in one round trip."""

Groups = Mapping[str, "Mapping[str, int] | bytes | None"]
Span = tuple[datetime, datetime]
Stored = Mapping[str, Any]


@dataclass
class Summed:
    """Counts by group, customers' ids escaped, and the totals by quarter hour.

    Of keywords and customers only the largest are there once it is summed up.
    """

    groups: dict[str, dict[str, int]] = field(
        default_factory=lambda: {group: defaultdict(int) for group in GROUPS}
    )
    parts: dict[str, list[Part]] = field(default_factory=lambda: {group: [] for group in PACKED})
    totals: Totals = field(default_factory=lambda: Totals(0, 0, 0, [0]))

    def add(self, groups: Groups, times: int = 1) -> None:
        """Add *groups*, or take them away."""
        for group, counts in groups.items():
            if isinstance(counts, bytes):
                self.parts[group].append((counts, times))
                continue
            mine = self.groups[group]
            for key, n in (counts or {}).items():
                mine[key] += times * n

    def settle(self) -> None:
        """Find the largest counts of the groups that are packed."""
        for group, parts in self.parts.items():
            self.groups[group] = largest(parts, self.groups[group])


def read(scope: OrgScope, asked: Asked) -> Summed:
    """Sum up what is asked for; call it on a view that is of one moment."""
    return _Reading(scope, asked).whole()


class _Reading:
    def __init__(self, scope: OrgScope, asked: Asked) -> None:
        self._scope = scope
        self._asked = asked
        self._cut = cut(asked.start, asked.end)
        self._summed = Summed()
        self._waiting = [
            part
            for one in scope[DELTAS].find_all({}, projection={"parts": 1})
            for part in one["parts"]
            if asked.source_id in {None, part["source_id"]}
        ]
        self._quarters = Quarters(scope, asked, self._waiting)

    def whole(self) -> Summed:
        """Return all of it."""
        ragged = {cell.day for cell in (*self._cut.cells, *(piece.cell for piece in self._cut.pieces))}
        found = self._find([*self._cut.blocks, *(Block(DAY, day) for day in ragged)])
        by_rest = [piece for piece in self._cut.pieces if self._is_less_outside(piece, found)]
        self._take_ends(by_rest)
        whole_cells = {*self._cut.cells, *(piece.cell for piece in by_rest)}
        for one in found:
            block = Block(one["span"], one["block"])
            if times := self._cut.blocks.get(block, 0):
                self._take_rollup(one, times)
            if block.span == DAY and block.number in ragged:
                self._take_rollup(one, 1, whole_cells)
        for part in self._waiting:
            if CellNo(part["day"], part["cell"]) in whole_cells or part["day"] in self._cut.days:
                self._summed.add({group: part[group] for group in GROUPS if group in part})
        self._summed.totals = self._quarters.totals(self._within())
        self._summed.settle()
        return self._summed

    # What tickets tell.

    def _take_ends(self, by_rest: Sequence[Piece]) -> None:
        """Take the pieces from their tickets, or, of their whole cells, their rest away."""
        cell, quarters = Cell(), Counter[int]()
        spans = [
            span
            for piece in self._cut.pieces
            for span in (piece.rest if piece in by_rest else [(piece.start, piece.end)])
        ]
        for ticket in self._tickets(spans):
            is_inside = self._asked.start <= ticket["created_at"] < self._asked.end
            count(ticket, cell, 1 if is_inside else -1)
            quarters[quarter_at(ticket["created_at"])] += 1
        self._summed.add(cell.stored())
        for piece in self._cut.pieces:
            self._quarters.settle(piece, quarters, is_rest=piece in by_rest)

    def _is_less_outside(self, piece: Piece, found: Sequence[Stored]) -> bool:
        """Tell whether fewer tickets lie in the rest of the piece's cell than in the piece."""
        inside, cut_through, outside = self._quarters.shares(piece)
        if cut_through > FEW:
            known = self._scope[TICKETS].count_documents(self._where(piece.rest), limit=inside + cut_through)
            inside, outside = inside + outside + cut_through - known, known
        return outside < inside + cut_through and not _is_crowded(piece.cell, found)

    def _within(self) -> dict[int, int]:
        """Count what comes before a change of the zone's clock in the quarter hour that it cuts through."""
        found: dict[int, int] = {}
        for at in changes(self._asked.zone, second_of(self._asked.start), second_of(self._asked.end)):
            quarter, rest = divmod(at, QUARTER_S)
            if rest and self._quarters.of(quarter):
                begin = instant_of(quarter)
                span = max(begin, self._asked.start), begin + timedelta(seconds=rest)
                found[at] = self._scope[TICKETS].count_documents(self._where([span]))
        return found

    def _take_cell(self, cell_no: CellNo, times: int, groups: Iterable[str]) -> None:
        """Count the *groups* of a whole cell's tickets, or count them no more."""
        cell = Cell()
        for ticket in self._tickets([(cell_no.start, cell_no.start + CELL)]):
            count(ticket, cell)
        kept = cell.stored()
        self._summed.add({group: kept.get(group, {}) for group in groups}, times)

    def _tickets(self, spans: Sequence[Span]) -> Iterator[Stored]:
        if not spans:
            return iter(())
        hint = "live_newest" if self._asked.source_id is None else "live_source"
        return self._scope[TICKETS].find(self._where(spans), projection=FIELDS, hint=hint, batch_size=AT_ONCE)

    def _where(self, spans: Sequence[Span]) -> dict[str, Any]:
        of_source = {} if self._asked.source_id is None else {"source_id": self._asked.source_id}
        within = [{"created_at": {"$gte": start, "$lt": end}} for start, end in spans]
        return {**of_source, **LIVE, **(within[0] if len(within) == 1 else {"$or": within})}

    # What rollups tell.

    def _find(self, blocks: Sequence[Block]) -> list[Stored]:
        by_span: dict[int, list[int]] = defaultdict(list)
        for block in blocks:
            by_span[block.span].append(block.number)
        clauses = [
            {"source_id": self._asked.source_id, "span": span, "block": {"$in": numbers}}
            for span, numbers in by_span.items()
        ]
        fields = {"span": 1, "block": 1, "cells": 1}
        return list(self._scope[ROLLUPS].find_all({"$or": clauses}, projection=fields)) if clauses else []

    def _take_rollup(self, rollup: Stored, times: int, cells: set[CellNo] | None = None) -> None:
        """Add a rollup, or those *cells* of it, or take it away."""
        for number, groups in rollup["cells"].items():
            if cells is None or CellNo(rollup["block"], int(number)) in cells:
                self._summed.add(groups, times)
                self._descend(rollup, int(number), _crowded(groups, GROUPS), times)

    def _descend(self, rollup: Stored, number: int, groups: Sequence[str], times: int) -> None:
        """Ask what a crowded group sums up: the smaller rollups, and at last the tickets."""
        if not groups:
            return
        if rollup["span"] == DAY:
            self._take_cell(CellNo(rollup["block"], number), times, groups)
            for part in self._waiting:  # tickets have what no rollup has yet
                if (part["day"], part["cell"]) == (rollup["block"], number):
                    self._summed.add({group: part.get(group, {}) for group in groups}, -times)
            return
        for one in self._find(parts_of(Block(rollup["span"], rollup["block"]))):
            for inner, kept in one["cells"].items():
                self._summed.add({group: kept.get(group, {}) for group in groups}, times)
                self._descend(one, int(inner), _crowded(kept, groups), times)


def _is_crowded(cell: CellNo, found: Sequence[Stored]) -> bool:
    groups = [
        one["cells"].get(str(cell.number), {}) for one in found if (one["span"], one["block"]) == (DAY, cell.day)
    ]
    return any(_crowded(one, GROUPS) for one in groups)


def _crowded(groups: Groups, names: Iterable[str]) -> list[str]:
    return [name for name in names if groups.get(name, 0) is None]
