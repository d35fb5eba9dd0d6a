"""A cell of a table: text that no spreadsheet runs, a number, a truth, or nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from common.clock import rfc3339
from workers.analytics.reporting.formulas import harmless
from workers.analytics.reporting.rows import Column, Holds

_TRUTHS = {True: "true", False: "false"}


def cells_of(columns: Sequence[Column]) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what makes cells of a row of these columns."""
    makers = [_MAKERS[column.holds] for column in columns]

    def cells(row: Sequence[Any]) -> list[Any]:
        return [None if value is None else make(value) for make, value in zip(makers, row, strict=True)]

    return cells


def _plain(value: Any) -> Any:
    return _TRUTHS[value] if value is True or value is False else value


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode() if value else ""


_MAKERS: Mapping[Holds, Callable[[Any], Any]] = {
    "text": harmless,
    "plain": _plain,
    "instant": rfc3339,
    "json": _json,
}
