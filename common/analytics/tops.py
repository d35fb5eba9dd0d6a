"""The largest sums over many groups of counts, without reading all of them.

Of each group the largest counts are read, and what is left out lies between two bounds. So each key's sum has
bounds as well, and only keys that may be among the largest are looked up where they were left out. The threshold
is that of Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware" (2003); here groups may also be
taken away.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from common.tickets.counting.packing import Head, head_of, unpack

TOP = 20
"""How many are shown of what there are many of."""

Part = tuple[bytes, int]
"""A packed group, and how many times it is added; taken away if that is negative."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a part, and the bounds of what any key may have in it that was not."""

    packed: bytes
    times: int
    head: Head

    @property
    def most(self) -> int:
        return self.times * (self.head.most if self.times > 0 else self.head.least)

    @property
    def least(self) -> int:
        return self.times * (self.head.least if self.times > 0 else self.head.most)


def largest(parts: Sequence[Part], known: Mapping[str, int]) -> dict[str, int]:
    """Add *parts* to what is *known*; return the sums of the `TOP` largest, all as large, and maybe others."""
    read = [_Read(packed, times, head_of(packed)) for packed, times in parts]
    cut = [one for one in read if not one.head.is_whole]
    sums = defaultdict(int, known)
    for one in read:
        for key, n in one.head.counts.items():
            sums[key] += one.times * n
    if not cut:
        return sums
    bar = min((_least(key, sums, cut) for key in nlargest(TOP, sums, key=sums.__getitem__)), default=0)
    most = sum(one.most for one in cut)
    if len(sums) < TOP or most >= bar:
        return _all(parts, known)
    near = {key: n for key, n in sums.items() if n + most >= bar}
    candidates = {key: n for key, n in near.items() if _most(key, sums, cut) >= bar}
    for one in cut:
        missing = candidates.keys() - one.head.counts.keys()
        if missing:
            whole = unpack(one.packed)
            for key in missing:
                candidates[key] += one.times * whole.get(key, 0)
    return candidates


def _most(key: str, sums: Mapping[str, int], cut: Sequence[_Read]) -> int:
    """Return how much a key may come to with what was not read."""
    return sums[key] + sum(one.most for one in cut if key not in one.head.counts)


def _least(key: str, sums: Mapping[str, int], cut: Sequence[_Read]) -> int:
    """Return how much a key comes to at least."""
    return sums[key] + sum(one.least for one in cut if key not in one.head.counts)


def _all(parts: Sequence[Part], known: Mapping[str, int]) -> dict[str, int]:
    sums = defaultdict(int, known)
    for packed, times in parts:
        for key, n in unpack(packed).items():
            sums[key] += times * n
    return sums
