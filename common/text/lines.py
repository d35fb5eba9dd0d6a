"""Physical lines of a text, counted, and never more of one record in memory than may be."""

from typing import TextIO

RECORD_MAX_CHARS = 256 * 1024
_SKIP_CHARS = 64 * 1024


class RecordTooLong(Exception):
    """A record goes on beyond the bound; the line that it was noticed on has been passed over."""


class Lines:
    """Iterate the lines of *text* with their ends, as they are in the file.

    The bound is for a record: all lines since `begin_record`. A line of a gigabyte costs time, not memory.
    """

    def __init__(self, text: TextIO, *, max_chars: int = RECORD_MAX_CHARS) -> None:
        self.number = 0
        self._readline = text.readline
        self._max_chars = self._left = max_chars

    def begin_record(self) -> None:
        """Count the characters of a new record."""
        self._left = self._max_chars

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._readline(self._left + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._left -= len(line)
        if self._left < 0:
            self._pass_over(line)
            raise RecordTooLong
        return line

    def _pass_over(self, line: str) -> None:
        while line and not line.endswith(("\n", "\r")):
            line = self._readline(_SKIP_CHARS)
