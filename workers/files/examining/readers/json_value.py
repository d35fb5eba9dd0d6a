"""JSON: what stands at the top, and how much is in it."""

from collections.abc import Mapping
from typing import Any

import orjson

from workers.files.examining.content import Content, Unreadable

# What it becomes in memory is up to thirty times as large.
_PARSED_MAX_BYTES = 8 * 1024 * 1024


def read(content: Content) -> Mapping[str, Any]:
    """Return `encoding`, `top_level` (`object` or `array`) and how many `items` that has.

    Raises `Unreadable` if it is not JSON, or too large.
    """
    with content.whole(_PARSED_MAX_BYTES) as file:
        text = file.read()
    if content.encoding != "utf-8":
        text = text.decode(content.encoding, "replace").encode()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"It is not JSON, in line {error.lineno}: {error.msg}."[:200]) from error
    return {
        "encoding": content.encoding,
        "top_level": "object" if isinstance(value, dict) else "array",
        "items": len(value),
    }
