"""What a report is, before anybody knows as which file: columns and rows, and how many there will be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

Holds = Literal["text", "plain", "truth", "instant", "json"]
"""*text* is anybody's, *plain* a number or a word of ours, *instant* an aware datetime, *json* a list or an
object."""

AT_ONCE = 1_000
"""Rows that are written, and counted, together."""


@dataclass(frozen=True)
class Column:
    """A column, and what its cells hold, unless they are `None`."""

    name: str
    holds: Holds


@dataclass
class Rows:
    """The rows of a report, each with a cell a column; *total* is about how many there will be.

    As JSON it is a list of its rows, unless it is one thing, *whole*, of which the rows are the flat form.
    """

    columns: Sequence[Column]
    rows: Iterator[Sequence[Any]]
    total: int
    whole: Mapping[str, Any] | None = None

    def groups(self) -> Iterator[list[Sequence[Any]]]:
        """Go through the rows, `AT_ONCE` at a time."""
        while some := list(islice(self.rows, AT_ONCE)):
            yield some
