"""JSON Lines: how many rows there are."""

from collections.abc import Mapping
from typing import Any

from workers.files.examining.content import Content
from workers.files.examining.filled_lines import count_filled


def read(content: Content) -> Mapping[str, Any]:
    """Return `encoding` and `rows`, the lines that are not empty."""
    with content.text() as text:
        rows = count_filled(text)
    return {"encoding": content.encoding, "rows": rows, **content.extent(content.text_bytes)}
