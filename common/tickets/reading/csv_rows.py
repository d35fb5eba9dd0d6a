"""Rows of a CSV file (RFC 4180, any delimiter): a broken one is refused and the next goes on."""

import csv
from collections import Counter
from collections.abc import Iterator
from typing import TextIO

from common.errors import JobFailed
from common.text.lines import RECORD_MAX_CHARS, Lines, RecordTooLong
from common.tickets.attributes import NAME_MAX_CHARS
from common.tickets.reading.rows import COLUMNS_MAX, Refusal, Row

FIELD_MAX_CHARS = 128 * 1024
# The module's only bound is a global one; this is also its default.
csv.field_size_limit(FIELD_MAX_CHARS)


def csv_rows(text: TextIO, delimiter: str) -> Iterator[Row | Refusal]:
    """Yield each record after the header; blank lines are none. Raises `JobFailed` as `csv_header` does."""
    records = _records(text, delimiter)
    header = _names(next(records, None))
    width = len(header)
    for line, record in records:
        if isinstance(record, str):
            yield Refusal(line, None, record)
        elif len(record) != width:
            yield Refusal(line, None, f"The row has {len(record)} values where the header has {width}.")
        else:
            yield Row(line, header, record)


def csv_header(text: TextIO, delimiter: str) -> tuple[str, ...]:
    """Return a distinct, storable name for each column.

    An empty one is named by its place, a repeated one by its number: `column 3`, `note (2)`.
    Raises `JobFailed` if the first record can't be a header.
    """
    return _names(next(_records(text, delimiter), None))


def _records(text: TextIO, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield (line, values), or (line, what is wrong with it)."""
    lines = Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first = lines.number + 1
        lines.begin_record()
        try:
            values = next(reader)
        except StopIteration:
            return
        except RecordTooLong:
            yield first, f"{_where(first, lines)} is over {RECORD_MAX_CHARS} characters; is a quote left open?"
        except csv.Error as error:
            yield first, f"{_where(first, lines)} can't be read: {_reason(error)}"
        else:
            if values:
                yield first, values


def _where(first: int, lines: Lines) -> str:
    last = lines.number
    return "The row" if last <= first else f"The row of lines {first} to {last}"


def _reason(error: csv.Error) -> str:
    """Say what the module means in words for whoever has to mend the file."""
    said = str(error)
    if "unexpected end of data" in said:
        return "a quote that opens in it is never closed."
    if "field larger than" in said:
        return f"a value is over {FIELD_MAX_CHARS} characters; is a quote left open?"
    if "expected after" in said:
        return "something follows a closing quote; a quote inside a quoted value is written twice."
    return f"{said}."


def _names(first: tuple[int, list[str] | str] | None) -> tuple[str, ...]:
    if first is None:
        raise JobFailed("The file is empty: there is no header line.", code="file-empty")
    _line, names = first
    if isinstance(names, str):
        raise JobFailed(f"The header can't be read. {names}", code="header-unreadable")
    if len(names) > COLUMNS_MAX:
        raise JobFailed(f"The file has {len(names)} columns; {COLUMNS_MAX} are the most.", code="too-many-columns")
    _check_names(names)
    return _distinct([name or f"column {place}" for place, name in enumerate(names, start=1)])


def _check_names(names: list[str]) -> None:
    for place, name in enumerate(names, start=1):
        if len(name) > NAME_MAX_CHARS:
            raise JobFailed(
                f"The name of column {place} is over {NAME_MAX_CHARS} characters; is the first line a header?",
                code="header-unreadable",
            )
        if not _is_storable(name):
            raise JobFailed(f"The name of column {place} is not text.", code="header-unreadable")


def _is_storable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _distinct(names: list[str]) -> tuple[str, ...]:
    taken = set(names)
    times: Counter[str] = Counter()
    return tuple(_another(name, taken, times) for name in names)


def _another(name: str, taken: set[str], times: Counter[str]) -> str:
    times[name] += 1
    if times[name] == 1:
        return name
    while (renamed := f"{name} ({times[name]})") in taken:
        times[name] += 1
    taken.add(renamed)
    return renamed
