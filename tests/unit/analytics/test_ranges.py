"""A range is cut into exactly what it is, and into few parts."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.analytics.ranges import Block, CellNo, blocks_of, cut, parts_of
from common.tickets.counting.cells import CELL, CELLS_A_DAY, start_of_day

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MILLISECONDS = st.integers(0, 400 * 86_400_000)


def days_in(blocks: dict[Block, int]) -> Counter[int]:
    found: Counter[int] = Counter()
    for block, times in blocks.items():
        for day in range(block.number * block.span, (block.number + 1) * block.span):
            found[day] += times
    return Counter({day: times for day, times in found.items() if times})


@given(st.integers(-3_000, 30_000), st.integers(0, 4_000))
def test_blocks_are_the_days_each_once_and_few(first: int, count: int) -> None:
    days = range(first, first + count)

    blocks = dict(blocks_of(days))

    assert days_in(blocks) == Counter(days)
    assert len(blocks) <= 16 + count // 64


def test_seven_days_are_an_octet_less_one() -> None:
    assert blocks_of(range(16, 23)) == {Block(8, 2): 1, Block(1, 23): -1}


@given(MILLISECONDS, MILLISECONDS)
def test_a_range_is_its_days_cells_and_pieces_side_by_side(one: int, other: int) -> None:
    start, end = (BEGIN + timedelta(milliseconds=ms) for ms in sorted((one, other + 1)))
    if start == end:
        return

    found = cut(start, end)

    spans = [(start_of_day(day), start_of_day(day + 1)) for day in found.days]
    spans += [(cell.start, cell.start + CELL) for cell in found.cells]
    spans += [(piece.start, piece.end) for piece in found.pieces]
    spans.sort()
    assert (spans[0][0], spans[-1][1]) == (start, end)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert len(found.pieces) <= 2
    assert len(found.cells) <= 2 * CELLS_A_DAY - 2
    assert days_in(dict(found.blocks)) == Counter(found.days)
    for piece in found.pieces:
        assert piece.rest
        assert sum((b - a for a, b in piece.rest), piece.end - piece.start) == CELL


@pytest.mark.parametrize("block", [Block(64, -1), Block(64, 300), Block(8, 7)])
def test_the_parts_of_a_block_are_its_days(block: Block) -> None:
    assert days_in(dict.fromkeys(parts_of(block), 1)) == days_in({block: 1})


def test_a_day_has_no_parts_and_four_cells() -> None:
    assert parts_of(Block(1, 5)) == []
    assert CellNo(5, 3).start + CELL == start_of_day(6)
