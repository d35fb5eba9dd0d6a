"""Spreadsheets: their sheets, and how far down and to the right each is filled."""

from collections.abc import Mapping
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetMetadata, SheetTypeEnum

from workers.files.examining.content import Content, Unreadable, shown
from workers.files.examining.sniff_office import OLE_SIGNATURE
from workers.files.examining.zip_index import measure

_FILE_MAX_BYTES = 64 * 1024 * 1024
_UNPACKED_MAX_BYTES = 256 * 1024 * 1024
_SHEETS_MAX = 50


def read(content: Content) -> Mapping[str, Any]:
    """Return `sheet_count` and, of the first fifty, `sheets` with `name`, `rows` and `columns`.

    Raises `Unreadable` if the workbook is damaged, needs a password, or unpacks to too much.
    """
    if not content.head.startswith(OLE_SIGNATURE):
        _check_size(content)
    with content.whole(_FILE_MAX_BYTES) as file:
        try:
            with CalamineWorkbook.from_filelike(file) as workbook:
                return _found(workbook)
        except PasswordError as error:
            raise Unreadable("The workbook is protected by a password.") from error
        except (CalamineError, OSError, ValueError) as error:
            raise Unreadable("The workbook is damaged.") from error


def _check_size(content: Content) -> None:
    """Refuse what says itself that it is too large; what lies about it meets the limit of memory."""
    if measure(content).unpacked_bytes > _UNPACKED_MAX_BYTES:
        raise Unreadable("The workbook unpacks to too much to be looked into.")


def _found(workbook: CalamineWorkbook) -> Mapping[str, Any]:
    sheets = [sheet for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    return {"sheet_count": len(sheets), "sheets": [_sheet(workbook, sheet) for sheet in sheets[:_SHEETS_MAX]]}


def _sheet(workbook: CalamineWorkbook, metadata: SheetMetadata) -> dict[str, Any]:
    sheet = workbook.get_sheet_by_name(metadata.name)
    row, column = sheet.end or (-1, -1)
    return {"name": shown(metadata.name), "rows": row + 1, "columns": column + 1}
