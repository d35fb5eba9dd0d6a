"""Rows of a JSON Lines file: one object a line; a line that is none is refused and the next goes on."""

from collections.abc import Iterator
from typing import TextIO

import orjson

from common.text.lines import RECORD_MAX_CHARS, Lines, RecordTooLong
from common.tickets.reading.rows import COLUMNS_MAX, Refusal, Row


def json_rows(text: TextIO) -> Iterator[Row | Refusal]:
    """Yield each line that is not blank."""
    lines = Lines(text)
    while True:
        lines.begin_record()
        try:
            line = next(lines)
        except StopIteration:
            return
        except RecordTooLong:
            yield Refusal(lines.number, None, f"The line is over {RECORD_MAX_CHARS} characters.")
        else:
            if not line.isspace():
                yield _row(lines.number, line)


def _row(number: int, line: str) -> Row | Refusal:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Refusal(number, None, f"The line is not JSON: {error.msg}.")
    if not isinstance(value, dict):
        return Refusal(number, None, "The line is not a JSON object.")
    if len(value) > COLUMNS_MAX:
        return Refusal(number, None, f"The object has {len(value)} fields; {COLUMNS_MAX} are the most.")
    return Row(number, tuple(value), list(value.values()))
