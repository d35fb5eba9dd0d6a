"""A range of time cut into what rollups sum up, and the ends that only tickets can tell. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from common.tickets.counting.cells import CELL, CELLS_A_DAY, DAY, SPANS, day_of, start_of_day


@dataclass(frozen=True)
class Block:
    """Whole days that one rollup sums up."""

    span: int
    number: int


@dataclass(frozen=True)
class CellNo:
    """A cell of a day."""

    day: int
    number: int

    @property
    def start(self) -> datetime:
        """Return when it begins."""
        return start_of_day(self.day) + self.number * CELL


@dataclass(frozen=True)
class Piece:
    """A part of a cell, from *start* to before *end*."""

    cell: CellNo
    start: datetime
    end: datetime

    @property
    def rest(self) -> list[tuple[datetime, datetime]]:
        """Return what of the cell lies outside."""
        whole = self.cell.start, self.cell.start + CELL
        around = ((whole[0], self.start), (self.end, whole[1]))
        return [(start, end) for start, end in around if start < end]


@dataclass(frozen=True)
class Cut:
    """What a range is made of: its whole *days*, by the blocks to be added or taken away (-1), and what else."""

    days: range
    blocks: Mapping[Block, int]
    cells: list[CellNo]
    pieces: list[Piece]


def cut(start: datetime, end: datetime) -> Cut:
    """Return the fewest rollups, the cells and at most two pieces of cells that make up [*start*, *end*)."""
    cells, pieces = list[CellNo](), list[Piece]()
    first, last = day_of(start + timedelta(days=1) - timedelta(milliseconds=1)), day_of(end)
    if first >= last:
        ragged, days = [(start, end)], range(0)
    else:
        ragged = [(start, start_of_day(first)), (start_of_day(last), end)]
        days = range(first, last)
    for part_start, part_end in ragged:
        for piece in _cells_of(part_start, part_end):
            if piece.rest:
                pieces.append(piece)
            else:
                cells.append(piece.cell)
    return Cut(days, blocks_of(days), cells, pieces)


def blocks_of(days: range) -> Mapping[Block, int]:
    """Return the fewest blocks that make up *days*, with how often each counts: seven are an octet less one."""
    return min(_added(days), _rounded(days), key=len)


def _added(days: range) -> dict[Block, int]:
    found: dict[Block, int] = {}
    day = days.start
    while day < days.stop:
        span = next(span for span in reversed(SPANS) if day % span == 0 and day + span <= days.stop)
        found[Block(span, day // span)] = 1
        day += span
    return found


def _rounded(days: range) -> dict[Block, int]:
    """Move both ends to the nearest ends of larger blocks, again and again; what that is off is put right."""
    found: Counter[Block] = Counter()
    start, stop = days.start, days.stop
    for span, larger in pairwise(SPANS):
        many = larger // span
        near_start, near_stop = (start + many // 2) // many, -((many // 2 - stop) // many)
        _count(found, span, start, near_start * many)
        _count(found, span, near_stop * many, stop)
        start, stop = near_start, near_stop
    _count(found, SPANS[-1], start, stop)
    return {block: times for block, times in found.items() if times}


def _count(found: Counter[Block], span: int, start: int, stop: int) -> None:
    """Add the blocks from *start* to before *stop*; where they stand the other way round, take them away."""
    times = 1 if start <= stop else -1
    for number in range(min(start, stop), max(start, stop)):
        found[Block(span, number)] += times


def parts_of(block: Block) -> list[Block]:
    """Return the smaller blocks that make up *block*; a day has none."""
    if block.span == DAY:
        return []
    smaller = SPANS[SPANS.index(block.span) - 1]
    many = block.span // smaller
    return [Block(smaller, block.number * many + number) for number in range(many)]


def _cells_of(start: datetime, end: datetime) -> Iterator[Piece]:
    while start < end:
        day = day_of(start)
        number = min((start - start_of_day(day)) // CELL, CELLS_A_DAY - 1)
        cell = CellNo(day, number)
        until = min(end, cell.start + CELL)
        yield Piece(cell, start, until)
        start = until
