"""What the form of an import may say, and what its file may be. Pure."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

import orjson

from common.errors import Fault, Invalid, WrongMediaType
from common.tickets import by_hand
from common.tickets.ticket import TICKET_FIELDS

COLUMN_MAX_CHARS = 1_000
SOURCE_MAX_CHARS = 255
FILENAME_MAX_CHARS = 255
_FORMATS: Mapping[str, Literal["csv", "jsonl"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NO_TEXT = (
    *(b"PK\x03\x04", b"%PDF-", b"\x7fELF", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"7z\xbc\xaf"),
    *(b"\xd0\xcf\x11\xe0", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"SQLite format 3\x00", b"PAR1"),
)
"""How files begin that are archives, programs, pictures or workbooks, whatever they are called."""
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # of UTF-16 and UTF-32, where every other byte may be NUL


def format_of(filename: str, head: bytes) -> Literal["csv", "jsonl"]:
    """Tell the format by the name; the content, which begins with *head*, must be able to be text.

    Raises `WrongMediaType`, or `Invalid` for an empty file.
    """
    suffix = PurePosixPath(filename).suffix.lower()
    if suffix not in _FORMATS:
        raise WrongMediaType("A file of tickets is CSV (.csv, .tsv, .txt) or JSON Lines (.jsonl, .ndjson).")
    if not head:
        raise Invalid("The file is empty.", [Fault("is empty", "/file")])
    is_wide = head.startswith(_MARKS)
    if head.startswith(_NO_TEXT) or (not is_wide and head.count(0) > len(head) // 4):
        raise WrongMediaType("The file is not text, whatever its name says. UTF-16 needs its byte order mark.")
    return _FORMATS[suffix]


def check_filename(name: str) -> str:
    """Return *name*, which is kept and shown but never used as a path. Raises `Invalid`."""
    if not 0 < len(name) <= FILENAME_MAX_CHARS or not name.isprintable():
        raise Invalid("This file name can't be kept.", [Fault("1 to 255 printable characters", "/file")])
    return name


def read_mapping(text: str) -> dict[str, str]:
    """Read ticket field → column. Raises `Invalid`, naming each field that is wrong."""
    try:
        mapping = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid("The mapping is not JSON.", [Fault(str(error), "/mapping")]) from error
    if not isinstance(mapping, dict):
        raise Invalid("The mapping is not an object.", [Fault("must be a JSON object", "/mapping")])
    faults = [
        Fault(f"is none of {', '.join(sorted(TICKET_FIELDS))}", f"/mapping/{field[:100]}")
        for field in mapping
        if field not in TICKET_FIELDS
    ] + [
        Fault("must be the name of a column", f"/mapping/{field[:100]}")
        for field, column in mapping.items()
        if not isinstance(column, str) or not 0 < len(column) <= COLUMN_MAX_CHARS
    ]
    if faults:
        raise Invalid("The mapping is not valid; see errors.", faults[:50])
    return mapping


def check_source(text: str | None) -> str | None:
    """Return *text*, as it is. Raises `Invalid`, also for a name under which the API makes tickets itself."""
    if text is None:
        return None
    if not 0 < len(text) <= SOURCE_MAX_CHARS or "\x00" in text:
        raise Invalid("This source can't be kept.", [Fault("1 to 255 characters without NUL", "/source")])
    # Whoever has an API for a source has a UUID for it, whose next full run deletes what that API does not show.
    if text == by_hand.SOURCE or _UUID.fullmatch(text):
        fault = Fault("a source of the API's own takes no imports; choose a name", "/source")
        raise Invalid("Nothing can be imported under this source.", [fault])
    return text
