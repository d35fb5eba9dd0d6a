"""Which fields the records of a source have, of which types, and how that has changed since the last run. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

FIELDS_MAX = 150
NAME_MAX_CHARS = 60
CHANGES_MAX = 50
_TYPES: Mapping[type, str] = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "list",
    dict: "object",
    type(None): "null",
}


class FieldShape(TypedDict):
    """The types that a field was seen with, and whether every record had it."""

    types: list[str]
    always: bool


Shape = dict[str, FieldShape]


@dataclass(frozen=True)
class ShapeChange:
    """One field that is new, has types that it did not have, or is missing though every record had it."""

    field: str
    change: Literal["new", "widened", "missing"]
    types: list[str]


def observe(shape: Shape, record: Mapping[str, Any]) -> None:
    """Add to *shape* what *record* shows; a name that is long, or not printable, is passed over."""
    is_first = not shape
    for name, value in record.items():
        known = shape.get(name)
        kind = _TYPES.get(type(value), "object")
        if known is not None:
            if kind not in known["types"]:
                known["types"].append(kind)
        elif len(shape) < FIELDS_MAX and len(name) <= NAME_MAX_CHARS and name.isprintable():
            shape[name] = {"types": [kind], "always": is_first}
    if len(record) < len(shape):
        for name, known in shape.items():
            if known["always"] and name not in record:
                known["always"] = False


def compare(before: Shape, now: Shape) -> list[ShapeChange]:
    """Return what has changed, the first 50 by field.

    Of the first run, and of one without records, there is nothing to say.
    """
    if not before or not now:
        return []
    changes = [ShapeChange(name, "new", sorted(one["types"])) for name, one in now.items() if name not in before]
    for name, one in before.items():
        if name not in now:
            if one["always"]:
                changes.append(ShapeChange(name, "missing", sorted(one["types"])))
        elif wider := sorted(set(now[name]["types"]) - set(one["types"])):
            changes.append(ShapeChange(name, "widened", wider))
    return sorted(changes, key=lambda one: one.field)[:CHANGES_MAX]


def merged(before: Shape, now: Shape) -> Shape:
    """Return what is known after a run: what went missing is forgotten, so that it is reported once."""
    if not now:
        return before
    kept = {name: one for name, one in before.items() if name in now or not one["always"]}
    names = [*kept, *(name for name in now if name not in kept)][:FIELDS_MAX]
    return {name: _joined([side[name] for side in (kept, now) if name in side]) for name in names}


def _joined(sides: Sequence[FieldShape]) -> FieldShape:
    return {
        "types": sorted({kind for side in sides for kind in side["types"]}),
        "always": all(side["always"] for side in sides),
    }
