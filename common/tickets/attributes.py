"""Names that callers choose, made safe as field names of MongoDB, and back exactly."""

import re
from collections.abc import Mapping
from typing import Any

ATTRIBUTES_MAX = 50
NAME_MAX_CHARS = 255

# The escape sign itself, the operator sign, the path separator and the end of a BSON name.
_UNSAFE = re.compile(r"[%$.\x00]")
_ESCAPED = re.compile(r"%(25|24|2E|00)")
_EMPTY = "%"


def escape(name: str) -> str:
    """Return *name* as a field name that can be no operator, no path and no empty name; one to one."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", name) or _EMPTY


def unescape(stored: str) -> str:
    """Return the name that `escape` was given."""
    if "%" not in stored:
        return stored
    if stored == _EMPTY:
        return ""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), stored)


def to_stored(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return *attributes* with every name escaped, in their order."""
    return {escape(name): value for name, value in attributes.items()}


def from_stored(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that `to_stored` was given."""
    return {unescape(name): value for name, value in stored.items()}
