"""Which reader reads which media type, and what becomes of its failures."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from common.files.findings import UNKNOWN_TYPE, Findings
from workers.files.examining import media_types
from workers.files.examining.content import Content, Unreadable
from workers.files.examining.sniff import sniff

_READERS: Mapping[str, str] = {
    media_types.CSV: "table",
    media_types.TSV: "table",
    media_types.JSON: "json_value",
    media_types.JSON_LINES: "json_lines",
    media_types.PDF: "pdf",
    media_types.ENCRYPTED_OFFICE: "encrypted",
    **dict.fromkeys(media_types.SPREADSHEETS, "sheets"),
    **dict.fromkeys(media_types.DOCUMENTS, "document"),
    **dict.fromkeys(media_types.PRESENTATIONS, "presentation"),
    **dict.fromkeys(media_types.IMAGES, "image"),
    **dict.fromkeys(media_types.ZIPS, "archive"),
}


def name(content: Content) -> Findings:
    """Return only of which type *content* is."""
    return Findings(_type_of(content))


def examine(content: Content) -> Findings:
    """Return the type of *content*, and what the reader of that type finds.

    Nothing that a content does to a reader goes beyond it, but for what ends the process.
    """
    media_type = _type_of(content)
    extent = content.extent(content.held_bytes)
    try:
        return Findings(media_type, {**extent, **_read(media_type, content)})
    except Unreadable as unreadable:
        return Findings(media_type, {**extent, **unreadable.found}, unreadable.sentence)
    except MemoryError:
        return Findings(media_type, {}, "Looking into the file took too much memory.")
    except BaseException:  # noqa: BLE001 (panics of Rust are no Exceptions)
        return Findings(media_type, {}, "The file is damaged, or is not what it seems to be.")


def _type_of(content: Content) -> str:
    try:
        return sniff(content)
    except Exception:  # noqa: BLE001 (of unknown type, then; the readers have their own say)
        return UNKNOWN_TYPE


def _read(media_type: str, content: Content) -> Mapping[str, Any]:
    reader = _READERS.get(media_type) or ("text" if media_types.is_text(media_type) else None)
    if reader is None:
        return {}
    found: Mapping[str, Any] = import_module(f"workers.files.examining.readers.{reader}").read(content)
    return found
