"""What a reader gives: rows, and lines that are none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One record: a cell for each name in *header*. *line* is the physical line, from 1, where it starts."""

    line: int
    header: tuple[str, ...]
    cells: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is not imported; *column* is None where no single one is to blame.

    *external_id* is what its source calls it, where it does.
    """

    line: int
    column: str | None
    reason: str
    external_id: str | None = None
