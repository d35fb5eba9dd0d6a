"""Cells of a table: text that no spreadsheet runs, a number, a truth, or nothing.

Made a column at a time: what holds for all cells of a column is asked once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from common.clock import rfc3339
from workers.analytics.reporting.formulas import harmless
from workers.analytics.reporting.rows import Column, Holds

_TRUTHS = {True: "true", False: "false", None: None}
_UTC = "+00:00"


def cells_of(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
    """Return *rows* of these columns with each value made a cell."""
    made = [
        _MAKERS[column.holds](values) for column, values in zip(columns, zip(*rows, strict=True), strict=False)
    ]
    return zip(*made, strict=True)


def _each(make: Callable[[Any], Any]) -> Callable[[Iterable[Any]], list[Any]]:
    return lambda values: [None if value is None else make(value) for value in values]


def _instant(value: datetime) -> str:
    text = value.isoformat(timespec="milliseconds")
    return f"{text[:-6]}Z" if text.endswith(_UTC) else rfc3339(value)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode() if value else ""


_MAKERS: Mapping[Holds, Callable[[Iterable[Any]], Iterable[Any]]] = {
    "text": _each(harmless),
    "plain": lambda values: values,
    "truth": lambda values: [_TRUTHS[value] for value in values],
    "instant": _each(_instant),
    "json": _each(_json),
}
