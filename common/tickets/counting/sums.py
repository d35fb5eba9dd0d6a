"""Rollups in the making: a count goes to its day, octet and 64 days, of its source and of all sources together."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from common.tickets.counting.cells import DAY, GROUPS, OCTET, QUARTERS_A_DAY, SPANS
from common.tickets.counting.packing import PACKED, pack, unpack

CROWDED_BYTES = 1_000_000
"""How many bytes a group of a cell may have as JSON; beyond it the group is kept as None.

Four cells with two such groups are half of what a document may have.
"""

LOOKED_AT_FROM = 500
"""Groups of fewer keys are not measured."""

QUARTERS_AN_OCTET = OCTET * QUARTERS_A_DAY
_PACKED = f"<{QUARTERS_AN_OCTET}i"

Groups = dict[str, "dict[str, int] | None"]


class Key(NamedTuple):
    """Which rollup: of a source, or of all (None); of so many days; the day's number divided by them."""

    source_id: str | None
    span: int
    block: int


@dataclass(slots=True)
class Rollup:
    """A rollup as it is stored, but for its key."""

    cells: dict[str, Groups] = field(default_factory=dict)
    quarters: dict[str, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Rollup":
        """Return the rollup that is *stored*."""
        quarters = {str(number): n for number, n in enumerate(unpacked(stored.get("quarters"))) if n}
        cells = {
            number: {group: _restored(counts) for group, counts in cell.items()}
            for number, cell in (stored.get("cells") or {}).items()
        }
        return cls(cells, quarters)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is left of it."""
        return not self.quarters and not any(self.cells.values())

    def stored(self) -> dict[str, Any]:
        """Return what is stored of it."""
        cells = {
            number: {group: _stored(group, counts) for group, counts in cell.items()}
            for number, cell in self.cells.items()
            if cell
        }
        return {"cells": cells, **({"quarters": packed(self.quarters)} if self.quarters else {})}

    def add(self, other: "Rollup", times: int = 1) -> None:
        """Add what *other* has, or take it away."""
        for number, groups in other.cells.items():
            mine = self.cells.setdefault(number, {})
            for group, counts in groups.items():
                add_group(mine, group, counts, times)
        add_counts(self.quarters, other.quarters, times)


def packed(quarters: Mapping[str, int]) -> bytes:
    """Return an octet's quarter hours in little-endian integers of 32 bits: a hundred times faster to read."""
    return struct.pack(_PACKED, *(quarters.get(str(number), 0) for number in range(QUARTERS_AN_OCTET)))


def unpacked(stored: bytes | None) -> Sequence[int]:
    """Return what `packed` was given, number by number; nothing if nothing is stored."""
    return struct.unpack(_PACKED, stored) if stored else ()


def add_group(mine: Groups, group: str, counts: Mapping[str, int] | None, times: int = 1) -> None:
    """Add *counts* to a group; one that is crowded stays so, and one that grew too large becomes it."""
    if group in mine and mine[group] is None:
        return
    if counts is None:
        mine[group] = None
        return
    found = mine.get(group) or {}
    add_counts(found, counts, times)
    if _is_crowded(found):
        mine[group] = None
    elif found:
        mine[group] = found
    else:
        mine.pop(group, None)


def add_counts(mine: dict[str, int], counts: Mapping[str, int], times: int = 1) -> None:
    """Add *counts*; what comes to 0 is left out."""
    for key, n in counts.items():
        now = mine.get(key, 0) + times * n
        if now:
            mine[key] = now
        else:
            mine.pop(key, None)


def summed(parts: Iterable[Mapping[str, Any]]) -> dict[Key, Rollup]:
    """Return what the *parts* of deltas come to, rollup by rollup."""
    found: dict[Key, Rollup] = {}
    for part in parts:
        day = part["day"]
        for source_id in (part["source_id"], None):
            for span in SPANS:
                rollup = found.setdefault(Key(source_id, span, day // span), Rollup())
                cell = rollup.cells.setdefault(str(part["cell"] if span == DAY else 0), {})
                for group in GROUPS:
                    if group in part:
                        add_group(cell, group, part[group])
                if span == OCTET:
                    first = day % OCTET * QUARTERS_A_DAY
                    shifted = {str(first + int(number)): n for number, n in part["quarters"].items()}
                    add_counts(rollup.quarters, shifted)
    return found


def _restored(counts: Any) -> "dict[str, int] | None":
    return unpack(counts) if isinstance(counts, bytes) else counts


def _stored(group: str, counts: "Mapping[str, int] | None") -> Any:
    return pack(counts) if group in PACKED and counts is not None else counts


def _is_crowded(counts: Mapping[str, int]) -> bool:
    return len(counts) > LOOKED_AT_FROM and len(orjson.dumps(counts)) > CROWDED_BYTES
