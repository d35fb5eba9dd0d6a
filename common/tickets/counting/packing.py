"""A group of many counts as bytes: the largest first, so that who wants only those reads no more.

12 bytes   length of the head, the largest count behind it, the least of all behind it (0 if nothing is)
the rest   a JSON object of all counts, the largest first; its first bytes, closed, are the head
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter

import orjson

HEAD = 128
PACKED = frozenset({"keywords", "customers"})
"""The groups that are kept so: they have as many keys as people have words."""

_FRAME = struct.Struct("<Iii")
_COUNT = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Head:
    """The largest counts of a group, and the bounds of those that are left out, or absent."""

    counts: Mapping[str, int]
    most: int
    least: int

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is left out."""
        return self.most == self.least == 0


def pack(counts: Mapping[str, int]) -> bytes:
    """Return *counts*, none of which is 0, as bytes."""
    ordered = sorted(counts.items(), key=_COUNT, reverse=True)
    whole = orjson.dumps(dict(ordered))
    if len(ordered) <= HEAD:
        return _FRAME.pack(len(whole) - 1, 0, 0) + whole
    head = orjson.dumps(dict(ordered[:HEAD]))
    return _FRAME.pack(len(head) - 1, max(0, ordered[HEAD][1]), min(0, ordered[-1][1])) + whole


def unpack(packed: bytes) -> dict[str, int]:
    """Return all that `pack` was given."""
    found: dict[str, int] = orjson.loads(memoryview(packed)[_FRAME.size :])
    return found


def head_of(packed: bytes) -> Head:
    """Return the largest counts of what `pack` was given."""
    length, most, least = _FRAME.unpack_from(packed)
    return Head(orjson.loads(packed[_FRAME.size : _FRAME.size + length] + b"}"), most, least)
