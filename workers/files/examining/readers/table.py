"""CSV and its like: encoding, delimiter, and how many rows and columns there are, the header's row among them."""

import csv
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any, TextIO

from common.text.lines import Lines, RecordTooLong
from workers.files.examining.content import Content, Unreadable
from workers.files.examining.filled_lines import CHUNK_CHARS, FilledLines

_LIMIT_S = 3.0
_CLOCK_READ_EVERY = 4096


def read(content: Content) -> Mapping[str, Any]:
    """Return `encoding`, `delimiter`, `rows` and `columns`. Raises `Unreadable` if some rows can't be read."""
    delimiter = content.delimiter or ","
    columns = _columns(content.sample, delimiter)
    rows = _count_unquoted(content)
    counted = _Counted(rows) if rows is not None else _count(content, delimiter)
    found = {"encoding": content.encoding, "delimiter": delimiter, "rows": counted.rows, "columns": columns}
    found |= content.extent(content.text_bytes)
    if counted.is_cut:
        raise Unreadable("The table is too long to be counted to its end.", **found)
    if counted.broken:
        raise Unreadable(
            f"Rows that can't be read: {counted.broken}; the first begins in line {counted.first_broken}.", **found
        )
    return found


@dataclass
class _Counted:
    """Rows that were read, and records that are none."""

    rows: int = 0
    broken: int = 0
    first_broken: int = 0
    is_cut: bool = False


def _columns(sample: str, delimiter: str) -> int:
    """Count the values of the first record; the sample begins with it, and it is no table without."""
    reader = csv.reader(StringIO(sample, newline=""), delimiter=delimiter)
    return len(next((values for values in reader if values), []))


def _count_unquoted(content: Content) -> int | None:
    """Count the rows by their lines; None if there are quotes, in which lines may end."""
    lines = FilledLines()
    with content.text() as text:
        while chunk := text.read(CHUNK_CHARS):
            if '"' in chunk:
                return None
            lines.add(chunk)
    return lines.count


def _count(content: Content, delimiter: str) -> _Counted:
    with content.text(newline="") as text:
        return _count_records(text, delimiter)


def _count_records(text: TextIO, delimiter: str) -> _Counted:
    counted = _Counted()
    lines = Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    until = time.process_time() + _LIMIT_S
    for number in itertools.count(1):
        if number % _CLOCK_READ_EVERY == 0 and time.process_time() > until:
            counted.is_cut = True
            break
        first = lines.number + 1
        lines.begin_record()
        try:
            values = next(reader)
        except StopIteration:
            break
        except (RecordTooLong, csv.Error):
            counted.broken += 1
            counted.first_broken = counted.first_broken or first
        else:
            counted.rows += bool(values)
    return counted
