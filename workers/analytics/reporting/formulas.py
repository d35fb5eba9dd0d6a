"""Keeping text from being taken for a formula by the spreadsheet that opens it."""

import re

_IGNORED = r"[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*"
"""What a spreadsheet may pass over before it sees the sign."""

_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
"""`=`, `+`, `-` and `@`, also full-width and small."""

_BEGINS = re.compile(rf"{_IGNORED}{_SIGN}|[\t\r\n]")
"""A sign; and a tab or the end of a line, which begins another cell."""

_INSIDE = re.compile(rf"([;\t]{_IGNORED})(?={_SIGN})")
"""Where another cell begins for who takes `;` or the tab for what parts them, as many a spreadsheet does."""

_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


def harmless(text: str) -> str:
    """Return *text* with an apostrophe before what could be run as a formula; a number can't."""
    if ";" in text or "\t" in text:
        text = _INSIDE.sub(r"\1'", text)
    if text[:1].isalnum() or _BEGINS.match(text) is None or _NUMBER.fullmatch(text) is not None:
        return text
    return f"'{text}"
