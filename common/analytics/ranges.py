"""A range of time cut into what rollups sum up, and the ends that only tickets can tell. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

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
    """What a range is made of."""

    blocks: list[Block]
    cells: list[CellNo]
    pieces: list[Piece]


def cut(start: datetime, end: datetime) -> Cut:
    """Return the fewest rollups, the cells and at most two pieces of cells that make up [*start*, *end*)."""
    cells, pieces = list[CellNo](), list[Piece]()
    first, last = day_of(start + timedelta(days=1) - timedelta(milliseconds=1)), day_of(end)
    if first >= last:
        ragged = [(start, end)]
        blocks = []
    else:
        ragged = [(start, start_of_day(first)), (start_of_day(last), end)]
        blocks = list(blocks_of(first, last))
    for part_start, part_end in ragged:
        for piece in _cells_of(part_start, part_end):
            if piece.rest:
                pieces.append(piece)
            else:
                cells.append(piece.cell)
    return Cut(blocks, cells, pieces)


def blocks_of(first: int, end: int) -> Iterator[Block]:
    """Go through the largest blocks that make up the days from *first* to before *end*."""
    day = first
    while day < end:
        span = next(span for span in reversed(SPANS) if day % span == 0 and day + span <= end)
        yield Block(span, day // span)
        day += span


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
