"""How values are taken out of a record that may hold anything."""

from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from common.clock import rfc3339
from common.errors import Unusable

ATTRIBUTES_MAX = 50
IDENTIFIER_MAX_CHARS = 255
_CONTAINERS = frozenset({list, dict})
_TEXT = frozenset({str})
_TEXT_MAX_CHARS = 64
_INT64_END = 2**63
_YEARS = (1970, 2200)
_FIRST_MS = 100_000_000_000


def inner(record: Any, *names: str) -> Any:
    """Return what stands below *names*, one inside the other; `None` where the record has no such thing."""
    for name in names:
        if type(record) is not dict:
            return None
        record = record.get(name)
    return record


def identifier(value: Any, field: str) -> str:
    """Return *value*, a text or a whole number, as a name. Raises `Unusable`."""
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise Unusable(field, "is missing" if value is None else "must be a text or a whole number")
    if not value or value.isspace():
        raise Unusable(field, "must not be empty")
    if len(value) > IDENTIFIER_MAX_CHARS:
        raise Unusable(field, f"must have at most {IDENTIFIER_MAX_CHARS} characters")
    return value


def are_single(values: Iterable[Any]) -> bool:
    """Tell whether none of *values* is a list or an object."""
    return _CONTAINERS.isdisjoint(map(type, values))


def singles(values: dict[str, Any]) -> dict[str, Any]:
    """Return *values* as they are. Raises `Unusable` of the first that is a list or an object."""
    if are_single(values.values()):
        return values
    name = next(name for name, value in values.items() if type(value) in _CONTAINERS)
    raise Unusable(name, "must be a single value")


def singles_of(record: Mapping[str, Any], but_not: Container[str] = frozenset()) -> dict[str, Any]:
    """Return what *record* has under any name *but_not* these and is no list, no object and not null."""
    return {
        name: value
        for name, value in record.items()
        if name not in but_not and value is not None and type(value) not in _CONTAINERS
    }


def texts(values: Any, name: str | None = None) -> list[str]:
    """Return the texts in a list, or those called *name* of the objects in it; what is neither is passed over."""
    if type(values) is not list:
        return []
    if _TEXT.issuperset(map(type, values)):
        return values
    found = [inner(value, name) if name and type(value) is dict else value for value in values]
    return [text for text in found if type(text) is str]


def first_text(*values: Any) -> str:
    """Return the first of *values* that is a text and not blank. Raises `Unusable` of a message."""
    for value in values:
        if type(value) is str and value and not value.isspace():
            return value
    raise Unusable("message", "must not be empty")


def exact(values: dict[str, Any]) -> dict[str, Any]:
    """Return *values*; of a whole number that can't be stored, because 64 bits do not hold it, its digits."""
    too_large = {
        name: str(value)
        for name, value in values.items()
        if type(value) is int and not -_INT64_END <= value < _INT64_END
    }
    return {**values, **too_large} if too_large else values


def said(**values: Any) -> dict[str, Any]:
    """Return those of *values* that are not null, whole numbers `exact`."""
    return exact({name: value for name, value in values.items() if value is not None})


def at_most(attributes: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return *attributes* and of *more*, in its order and `exact`, what there is room for beside them."""
    merged = {**exact(more), **attributes}
    return (
        merged if len(merged) <= ATTRIBUTES_MAX else dict(list({**attributes, **merged}.items())[:ATTRIBUTES_MAX])
    )


def instant(value: Any) -> datetime | None:
    """Return the instant that *value* names: RFC 3339, or seconds or milliseconds since 1970."""
    try:
        if type(value) is str:
            return _within_years(datetime.fromisoformat(value)) if len(value) <= _TEXT_MAX_CHARS else None
        if type(value) in {int, float}:
            return _within_years(datetime.fromtimestamp(value / 1000 if value >= _FIRST_MS else value, UTC))
    except (ValueError, OverflowError, OSError):
        pass
    return None


def instant_text(value: Any) -> Any:
    """Return *value* as RFC 3339 if it counts from 1970; anything else as it is."""
    found = None if type(value) is str else instant(value)
    return value if found is None else rfc3339(found)


def _within_years(found: datetime) -> datetime | None:
    aware = found
    if found.tzinfo is not UTC:
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return aware if _YEARS[0] <= aware.year <= _YEARS[1] else None
