"""Which sign parts the values of a CSV file."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

CANDIDATES = ",;\t|"
_RECORDS = 50
_CLEARLY = 0.9


@dataclass(frozen=True)
class _Trial:
    """How a sample looks when *delimiter* parts its values."""

    delimiter: str
    columns: int
    agreeing: float
    records: int

    @property
    def is_clear_table(self) -> bool:
        """Tell whether this can hardly be chance."""
        return self.columns > 1 and self.records > 1 and self.agreeing >= _CLEARLY

    @property
    def merit(self) -> tuple[bool, float, int]:
        """Prefer a table to a list; a sign that rarely agrees with the header only happens to be in the text."""
        is_table = self.columns > 1 and self.agreeing >= 0.5  # noqa: PLR2004 (half)
        return (
            is_table,
            self.columns * self.agreeing if is_table else self.agreeing,
            -CANDIDATES.index(self.delimiter),
        )


def detect_delimiter(sample: str, *, is_whole: bool) -> str:
    """Return the likeliest of comma, semicolon, tab and bar from the first records of *sample*."""
    trials = [_try(delimiter, sample, is_whole=is_whole) for delimiter in CANDIDATES]
    return max(trials, key=lambda trial: trial.merit).delimiter


def find_table(sample: str, *, is_whole: bool) -> str | None:
    """Return the sign that parts *sample* into a table; None if it is no table, so far as one can see.

    A table has two records or more, two columns or more, and hardly a record that has not as many as the first.
    """
    trials = [_try(delimiter, sample, is_whole=is_whole) for delimiter in CANDIDATES if delimiter in sample]
    tables = [trial for trial in trials if trial.is_clear_table]
    return max(tables, key=lambda trial: trial.merit).delimiter if tables else None


def _try(delimiter: str, sample: str, *, is_whole: bool) -> _Trial:
    widths = list(_widths(delimiter, sample))
    if not is_whole and len(widths) > 1:
        widths.pop()  # it may be cut
    if not widths:
        return _Trial(delimiter, 0, 0.0, 0)
    agreeing = sum(width == widths[0] for width in widths) / len(widths)
    return _Trial(delimiter, widths[0], agreeing, len(widths))


def _widths(delimiter: str, sample: str) -> Iterator[int]:
    reader = csv.reader(StringIO(sample, newline=""), delimiter=delimiter, strict=True)
    for _ in range(_RECORDS):
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield 0
        else:
            if values:
                yield len(values)
