"""A report as a sheet of Excel, written row by row through a file beside, with text that stays text."""

from collections.abc import Iterator
from pathlib import Path

from xlsxwriter import Workbook

from common.errors import JobFailed
from workers.analytics.reporting.cells import cells_of
from workers.analytics.reporting.rows import Rows

ROWS_MAX = 1_048_575
"""What a sheet holds below its heading."""

CELL_MAX_CHARS = 32_767
"""What a cell holds; longer text is cut, and ends in an ellipsis."""

_PIECE_BYTES = 1024 * 1024
_TEXT_ONLY = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


def write_xlsx(report: Rows, folder: Path) -> Iterator[tuple[bytes, int]]:
    """Write *report* in *folder*, which is there; go through the pieces of the file, each with its number of rows.

    Raises `JobFailed` for more rows than a sheet holds.
    """
    path = folder / "report.xlsx"
    with Workbook(str(path), {**_TEXT_ONLY, "tmpdir": str(folder)}) as book:
        yield from _fill(book, report)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece, 0


def _fill(book: Workbook, report: Rows) -> Iterator[tuple[bytes, int]]:
    """Write the sheet; its bytes come when it is closed, so that pieces are empty here."""
    refuse_too_many(report.total)
    sheet, at = book.add_worksheet(), 0
    sheet.freeze_panes(1, 0)
    sheet.write_row(0, 0, [column.name for column in report.columns], book.add_format({"bold": True}))
    for some in report.groups():
        refuse_too_many(at + len(some))
        for row in cells_of(report.columns, some):
            at += 1
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(at, column, _fitting(cell))
                elif cell is not None:
                    sheet.write_number(at, column, cell)
        yield b"", len(some)


def refuse_too_many(rows: int) -> None:
    """Raise `JobFailed` for more rows than a sheet holds."""
    if rows > ROWS_MAX:
        why = f"A sheet holds {ROWS_MAX:,} rows, and these are more. Ask for csv or json, or for a shorter range."
        raise JobFailed(why, code="too-many-rows")


def _fitting(text: str) -> str:
    return text if len(text) <= CELL_MAX_CHARS else f"{text[: CELL_MAX_CHARS - 1]}…"
