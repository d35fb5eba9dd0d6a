"""Rollups, the deltas that no rollup has yet, and tickets, summed up over a range; all as of one moment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from common.analytics.asked import Asked
from common.analytics.ranges import Block, CellNo, Cut, Piece, cut, parts_of
from common.analytics.trends import Totals, instant_of, quarter_at
from common.tenancy.scope import OrgScope
from common.tickets.collections import LIVE, TICKETS
from common.tickets.counting.cells import CELL, DAY, GROUPS, OCTET, QUARTER, Cell
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.facts import FIELDS, count
from common.tickets.counting.sums import add_counts

_QUARTERS_AN_OCTET = 768
_QUARTERS_A_DAY = 96
FEW = 2_000
"""How many tickets are counted on the other side of a cut before it is found to be no less work."""

_TICK = timedelta(milliseconds=1)
"""As fine as MongoDB keeps an instant."""


Groups = Mapping[str, "Mapping[str, int] | None"]
Span = tuple[datetime, datetime]


@dataclass
class Summed:
    """Counts by group, customers' ids escaped, and the totals by quarter hour."""

    groups: dict[str, dict[str, int]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    totals: Totals = field(default_factory=lambda: Totals(0, 0, [0]))

    def add(self, groups: Groups, times: int = 1) -> None:
        """Add *groups*, or take them away."""
        for group, counts in groups.items():
            if counts:
                add_counts(self.groups[group], counts, times)


def read(scope: OrgScope, asked: Asked) -> Summed:
    """Sum up what is asked for; call it in a transaction, so that all it reads is of one moment."""
    return _Reading(scope, asked).whole()


class _Reading:
    def __init__(self, scope: OrgScope, asked: Asked) -> None:
        self._scope = scope
        self._asked = asked
        self._cut: Cut = cut(asked.start, asked.end)
        self._summed = Summed()
        self._waiting = [
            part
            for one in scope[DELTAS].find_all({}, projection={"parts": 1})
            for part in one["parts"]
            if asked.source_id in (None, part["source_id"])
        ]

    def whole(self) -> Summed:
        """Return all of it."""
        self._summed.totals = self._totals()
        whole_cells, rests = set(self._cut.cells), list[Span]()
        for piece in self._cut.pieces:
            if self._is_less_outside(piece):
                whole_cells.add(piece.cell)
                rests += piece.rest
            else:
                self._take([(piece.start, piece.end)])
        self._take(rests, -1)
        self._take_rollups(whole_cells)
        self._take_waiting(whole_cells)
        return self._summed

    # The totals by quarter hour.

    def _totals(self) -> Totals:
        first, end = quarter_at(self._asked.start), quarter_at(self._asked.end - _TICK) + 1
        counts = self._quarters(first, end)
        for quarter in {first, end - 1}:
            start, until = instant_of(quarter), instant_of(quarter) + QUARTER
            wanted = max(start, self._asked.start), min(until, self._asked.end)
            if wanted != (start, until):
                counts[quarter] = self._within(wanted, (start, until), counts.get(quarter, 0))
        return Totals.of(first, end, counts)

    def _quarters(self, first: int, end: int) -> dict[int, int]:
        blocks = range(first // _QUARTERS_AN_OCTET, (end - 1) // _QUARTERS_AN_OCTET + 1)
        where = {
            "source_id": self._asked.source_id,
            "span": OCTET,
            "block": {"$gte": blocks[0], "$lte": blocks[-1]},
        }
        counts: dict[int, int] = defaultdict(int)
        for one in self._scope[ROLLUPS].find_all(where, projection={"block": 1, "quarters": 1}):
            base = one["block"] * _QUARTERS_AN_OCTET
            for number, total in one["quarters"].items():
                counts[base + int(number)] = total
        for part in self._waiting:
            base = part["day"] * _QUARTERS_A_DAY
            for number, total in part["quarters"].items():
                counts[base + int(number)] += total
        return counts

    def _within(self, wanted: Span, whole: Span, total: int) -> int:
        """Return how many of a quarter hour's *total* are wanted; counted where that is less work."""
        rest = [(start, end) for start, end in ((whole[0], wanted[0]), (wanted[1], whole[1])) if start < end]
        outside = 0
        for one in rest:
            outside += self._scope[TICKETS].count_documents(self._where([one]), limit=FEW - outside)
            if outside >= FEW:
                return self._scope[TICKETS].count_documents(self._where([wanted]))
        return total - outside

    # What tickets tell.

    def _is_less_outside(self, piece: Piece) -> bool:
        """Tell whether fewer tickets lie in the rest of the piece's cell than in the piece."""
        first = quarter_at(piece.cell.start)
        cell = Totals.of(first, first + CELL // QUARTER, self._quarters(first, first + CELL // QUARTER))
        inside = self._summed.totals.between(quarter_at(piece.start), quarter_at(piece.end - _TICK) + 1)
        return cell.between(cell.first, cell.end) - inside < inside and not self._is_crowded(piece.cell)

    def _is_crowded(self, cell: CellNo) -> bool:
        found = self._find([Block(DAY, cell.day)])
        return any(None in one["cells"].get(str(cell.number), {}).values() for one in found)

    def _take(self, spans: Sequence[Span], times: int = 1, groups: Iterable[str] = GROUPS) -> None:
        if not spans:
            return
        cell = Cell()
        hint = "live_newest" if self._asked.source_id is None else "live_source"
        for ticket in self._scope[TICKETS].find(self._where(spans), projection=FIELDS, hint=hint):
            count(ticket, cell)
        kept = cell.stored()
        self._summed.add({group: kept.get(group, {}) for group in groups}, times)

    def _where(self, spans: Sequence[Span]) -> dict[str, Any]:
        of_source = {} if self._asked.source_id is None else {"source_id": self._asked.source_id}
        within = [{"created_at": {"$gte": start, "$lt": end}} for start, end in spans]
        return {**of_source, **LIVE, **(within[0] if len(within) == 1 else {"$or": within})}

    # What rollups tell.

    def _take_rollups(self, whole_cells: set[CellNo]) -> None:
        days = {cell.day for cell in whole_cells}
        found = self._find([*self._cut.blocks, *(Block(DAY, day) for day in days)])
        ragged = {cell.day: {one.number for one in whole_cells if one.day == cell.day} for cell in whole_cells}
        for one in found:
            block = Block(one["span"], one["block"])
            numbers = ragged.get(block.number) if block.span == DAY else None
            for number, groups in one["cells"].items():
                if numbers is None or int(number) in numbers:
                    self._summed.add(groups)
                    self._descend(block, int(number), [group for group in GROUPS if groups.get(group, 0) is None])

    def _descend(self, block: Block, number: int, groups: Sequence[str]) -> None:
        """Ask what a crowded group sums up: the smaller rollups, and at last the tickets."""
        if not groups:
            return
        if block.span == DAY:
            start = CellNo(block.number, number).start
            self._take([(start, start + CELL)], groups=groups)
            self._forget_waiting(block.number, number, groups)
            return
        for one in self._find(parts_of(block)):
            part = Block(one["span"], one["block"])
            for inner, kept in one["cells"].items():
                self._summed.add({group: kept.get(group, {}) for group in groups})
                self._descend(part, int(inner), [group for group in groups if kept.get(group, 0) is None])

    def _find(self, blocks: Sequence[Block]) -> list[dict[str, Any]]:
        by_span: dict[int, list[int]] = defaultdict(list)
        for block in blocks:
            by_span[block.span].append(block.number)
        if not by_span:
            return []
        clauses = [
            {"source_id": self._asked.source_id, "span": span, "block": {"$in": numbers}}
            for span, numbers in by_span.items()
        ]
        return self._scope[ROLLUPS].find_all({"$or": clauses}, projection={"span": 1, "block": 1, "cells": 1})

    # What waits.

    def _take_waiting(self, whole_cells: set[CellNo]) -> None:
        for part in self._waiting:
            if CellNo(part["day"], part["cell"]) in whole_cells or self._is_whole(part["day"]):
                self._summed.add({group: part[group] for group in GROUPS if group in part})

    def _forget_waiting(self, day: int, cell: int, groups: Sequence[str]) -> None:
        """Leave out of what waits the groups that were taken from the tickets."""
        for part in self._waiting:
            if (part["day"], part["cell"]) == (day, cell):
                for group in groups:
                    part.pop(group, None)

    def _is_whole(self, day: int) -> bool:
        blocks = self._cut.blocks
        return bool(blocks) and blocks[0].number * blocks[0].span <= day < _end_of(blocks[-1])


def _end_of(block: Block) -> int:
    return (block.number + 1) * block.span
