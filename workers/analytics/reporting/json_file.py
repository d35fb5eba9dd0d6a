"""A report as JSON: one array with an object a line, or the one object that it is; values as they are."""

from collections.abc import Iterator

import orjson

from common.clock import rfc3339
from workers.analytics.reporting.rows import Rows


def write_json(report: Rows) -> Iterator[tuple[bytes, int]]:
    """Write *report*; go through the pieces of the file, each with how many rows it has."""
    if report.whole is not None:
        count = sum(1 for _ in report.rows)
        yield orjson.dumps(report.whole, option=orjson.OPT_INDENT_2) + b"\n", count
        return
    names = [column.name for column in report.columns]
    instants = [at for at, column in enumerate(report.columns) if column.holds == "instant"]
    before = b"[\n"
    for some in report.groups():
        lines = []
        for row in some:
            shown = dict(zip(names, row, strict=True))
            for at in instants:
                shown[names[at]] = None if row[at] is None else rfc3339(row[at])
            lines.append(orjson.dumps(shown, default=str))
        yield before + b",\n".join(lines), len(some)
        before = b",\n"
    yield (b"\n]\n" if before == b",\n" else b"[]\n"), 0
