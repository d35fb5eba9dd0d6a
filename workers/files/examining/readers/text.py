"""Text: its encoding, and how many lines it has."""

from collections.abc import Mapping
from typing import Any, TextIO

from workers.files.examining.content import Content

_CHUNK_CHARS = 1024 * 1024


def read(content: Content) -> Mapping[str, Any]:
    """Return `encoding` and `lines`. Raises `Unreadable` if the encoding is not known."""
    with content.text() as text:
        lines = count_lines(text)
    return {"encoding": content.encoding, "lines": lines, **content.extent(content.text_bytes)}


def count_lines(text: TextIO) -> int:
    """Count the lines of *text*, which translates line ends; a last one needs no end."""
    lines, last = 0, "\n"
    while chunk := text.read(_CHUNK_CHARS):
        lines += chunk.count("\n")
        last = chunk[-1]
    return lines if last == "\n" else lines + 1
