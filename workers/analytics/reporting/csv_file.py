"""A report as CSV: RFC 4180, UTF-8 without a byte order mark, one heading, cells that no spreadsheet runs."""

import csv
import io
from collections.abc import Iterator

from workers.analytics.reporting.cells import cells_of
from workers.analytics.reporting.rows import Rows


def write_csv(report: Rows) -> Iterator[tuple[bytes, int]]:
    """Write *report*; go through the pieces of the file, each with how many rows it has."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([column.name for column in report.columns])
    for some in report.groups():
        writer.writerows(cells_of(report.columns, some))
        yield _taken(buffer), len(some)
    yield _taken(buffer), 0


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8")
