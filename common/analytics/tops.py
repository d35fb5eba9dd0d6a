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
    most, least = _slack(sums, cut)
    bar = min(nlargest(TOP, (n + least[key] for key, n in sums.items())), default=0)
    if len(sums) < TOP or sum(one.most for one in cut) >= bar:
        return _all(parts, known)
    candidates = {key: n for key, n in sums.items() if n + most[key] >= bar}
    for one in cut:
        missing = candidates.keys() - one.head.counts.keys()
        if missing:
            whole = unpack(one.packed)
            for key in missing:
                candidates[key] += one.times * whole.get(key, 0)
    return candidates


def _slack(sums: Mapping[str, int], cut: Sequence[_Read]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how much more, and how much less, than its sum so far each key may have."""
    most = dict.fromkeys(sums, sum(one.most for one in cut))
    least = dict.fromkeys(sums, sum(one.least for one in cut))
    for one in cut:
        more, less = one.most, one.least
        for key in one.head.counts:
            most[key] -= more
            least[key] -= less
    return most, least


def _all(parts: Sequence[Part], known: Mapping[str, int]) -> dict[str, int]:
    sums = defaultdict(int, known)
    for packed, times in parts:
        for key, n in unpack(packed).items():
            sums[key] += times * n
    return sums
