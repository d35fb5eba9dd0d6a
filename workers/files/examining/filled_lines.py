"""Lines that are not empty, counted without making them."""

import re
from typing import TextIO

_EMPTY_LINES = re.compile("\n{2,}")
CHUNK_CHARS = 1024 * 1024


class FilledLines:
    """Count the lines that are not empty in chunks of a text whose line ends are translated."""

    def __init__(self) -> None:
        self._ends = 0
        self._last = "\n"

    def add(self, chunk: str) -> None:
        """Count on with *chunk*, which is not empty."""
        if "\n\n" in chunk:
            chunk = _EMPTY_LINES.sub("\n", chunk)
        self._ends += chunk.count("\n")
        if self._last == "\n" and chunk[0] == "\n":
            self._ends -= 1
        self._last = chunk[-1]

    @property
    def count(self) -> int:
        """How many lines there were; the last one needs no end."""
        return self._ends if self._last == "\n" else self._ends + 1


def count_filled(text: TextIO) -> int:
    """Count the lines of *text* that are not empty."""
    lines = FilledLines()
    while chunk := text.read(CHUNK_CHARS):
        lines.add(chunk)
    return lines.count
