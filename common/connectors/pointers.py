"""JSON pointers (RFC 6901), made ready to be read from many records; what a record does not have is null."""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from jsonpointer import JsonPointer

Read = Callable[[Any], Any]
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")


def reader(where: str | None) -> Read:
    """Return what reads the value at *where*; without a pointer, and where nothing stands, that is `None`."""
    if where is None:
        return lambda _: None
    parts = tuple(JsonPointer(where).parts)
    if len(parts) == 1:
        name = parts[0]
        return lambda whole: whole.get(name) if type(whole) is dict else _step(whole, name)
    return lambda whole: _walk(whole, parts)


def reader_of_all(wheres: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads the values at all of *wheres*, in their order; of most records at once."""
    each = tuple(map(reader, wheres))
    names = [found for where in wheres if (found := top(where)) is not None]
    if len(names) < max(
        2, len(each)
    ):  # one reads deeper; or there is but one, of which `itemgetter` makes no tuple
        return lambda whole: tuple([read(whole) for read in each])
    at_once = itemgetter(*names)

    def read_all(whole: Any) -> tuple[Any, ...]:
        try:
            found: tuple[Any, ...] = at_once(whole)
        except (LookupError, TypeError):  # it lacks one, or is no object
            return tuple([read(whole) for read in each])
        return found

    return read_all


def top(where: str | None) -> str | None:
    """Return the name at a record's top that *where* reads as it is; `None` if it reads deeper, or all."""
    parts = JsonPointer(where).parts if where else []
    return parts[0] if len(parts) == 1 else None


def is_stated(where: str, whole: Any) -> bool:
    """Tell whether *whole* has anything at *where*, be it null, or a null or false instead of what holds it."""
    value = whole
    for part in JsonPointer(where).parts:
        if value is None or value is False:
            return True
        if not _has(value, part):
            return False
        value = _step(value, part)
    return True


def _walk(value: Any, parts: tuple[str, ...]) -> Any:
    for part in parts:
        value = _step(value, part)
    return value


def _step(value: Any, part: str) -> Any:
    if type(value) is dict:
        return value.get(part)
    return value[int(part)] if _has(value, part) else None


def _has(value: Any, part: str) -> bool:
    if type(value) is dict:
        return part in value
    return type(value) is list and _INDEX.match(part) is not None and int(part) < len(value)
