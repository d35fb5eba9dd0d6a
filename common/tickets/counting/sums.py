"""Rollups in the making: a count goes to its day, octet and 64 days, of its source and of all sources together."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from common.tickets.counting.cells import DAY, GROUPS, OCTET, QUARTERS_A_DAY, SPANS, K
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

    def of_all(self) -> "Key":
        """Return the rollup of all sources for the same days."""
        return self._replace(source_id=None)

    def of_span(self, span: int) -> "Key":
        """Return the larger rollup that these days are a part of."""
        return Key(self.source_id, span, self.block * self.span // span)


@dataclass(slots=True)
class Rollup:
    """A rollup as it is stored, but for its key."""

    cells: dict[str, Groups] = field(default_factory=dict)
    quarters: dict[int, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Rollup":
        """Return the rollup that is *stored*."""
        quarters = {number: n for number, n in enumerate(unpacked(stored.get("quarters"))) if n}
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


def packed(quarters: Mapping[int, int]) -> bytes:
    """Return an octet's quarter hours in little-endian integers of 32 bits: a hundred times faster to read."""
    counts = [0] * QUARTERS_AN_OCTET
    for number, n in quarters.items():
        counts[number] = n
    return struct.pack(_PACKED, *counts)


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


def add_counts(mine: dict[K, int], counts: Mapping[K, int], times: int = 1) -> None:
    """Add *counts*, none of which is 0; what comes to 0 is left out."""
    if not mine and times == 1:
        mine.update(counts)
        return
    for key, n in counts.items():
        now = mine.get(key, 0) + times * n
        if now:
            mine[key] = now
        else:
            mine.pop(key, None)


def summed(parts: Iterable[Mapping[str, Any]]) -> dict[Key, Rollup]:
    """Return what the *parts* of deltas come to, rollup by rollup.

    Parts are added to the days of their sources only; those are added up to octets and so on, and at last the
    sources to all of them.
    """
    found: dict[Key, Rollup] = {}
    quarters: dict[Key, dict[int, int]] = {}
    for part in parts:
        day = Key(part["source_id"], DAY, part["day"])
        _add(found, day, str(part["cell"]), {group: part[group] for group in GROUPS if group in part})
        first = day.block % OCTET * QUARTERS_A_DAY
        shifted = {first + int(number): n for number, n in part["quarters"].items()}
        add_counts(quarters.setdefault(day.of_span(OCTET), {}), shifted)
    for smaller, larger in pairwise(SPANS):
        for key, rollup in [one for one in found.items() if one[0].span == smaller]:
            for groups in rollup.cells.values():
                _add(found, key.of_span(larger), "0", groups)
    for key, rollup in list(found.items()):
        for number, groups in rollup.cells.items():
            _add(found, key.of_all(), number, groups)
    for key, counts in quarters.items():
        add_counts(found[key].quarters, counts)
        add_counts(found[key.of_all()].quarters, counts)
    return found


def _add(found: dict[Key, Rollup], key: Key, number: str, groups: Mapping[str, Mapping[str, int] | None]) -> None:
    if key not in found:
        found[key] = Rollup()
    cell = found[key].cells.setdefault(number, {})
    for group, counts in groups.items():
        add_group(cell, group, counts)


def _restored(counts: Any) -> "dict[str, int] | None":
    return unpack(counts) if isinstance(counts, bytes) else counts


def _stored(group: str, counts: "Mapping[str, int] | None") -> Any:
    return pack(counts) if group in PACKED and counts is not None else counts


def _is_crowded(counts: Mapping[str, int]) -> bool:
    return len(counts) > LOOKED_AT_FROM and len(orjson.dumps(counts)) > CROWDED_BYTES
