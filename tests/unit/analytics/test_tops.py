"""The largest sums are found exactly, whatever is left unread, added and taken away."""

from collections import Counter
from heapq import nlargest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.analytics import tops
from common.analytics.tops import largest
from common.tickets.counting import packing
from common.tickets.counting.packing import head_of, pack, unpack

KEYS = st.text(alphabet='ab",:{}\\é\u2028', max_size=4)
GROUPS = st.dictionaries(KEYS, st.integers(-3, 50).filter(bool), max_size=40)


@pytest.fixture(autouse=True)
def _few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "HEAD", 5)
    monkeypatch.setattr(tops, "TOP", 3)


@given(st.lists(st.tuples(GROUPS, st.sampled_from([1, 1, 1, -1])), max_size=8), GROUPS)
def test_the_largest_sums_are_those_of_all_counts(
    parts: list[tuple[dict[str, int], int]], known: dict[str, int]
) -> None:
    sums = Counter(known)
    for counts, times in parts:
        for key, n in counts.items():
            sums[key] += times * n

    found = largest([(pack(counts), times) for counts, times in parts], known)

    least = min(nlargest(3, sums.values()), default=0)
    wanted = {key: n for key, n in sums.items() if n >= least and n > 0}
    assert {key: found[key] for key in wanted} == wanted
    assert all(sums[key] == n for key, n in found.items())


def test_of_skewed_counts_only_heads_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [(pack({f"w{number}": 10_000 // (number + 1) for number in range(500)}), 1) for _ in range(4)]
    monkeypatch.setattr(tops, "unpack", lambda _: pytest.fail("all of a group was read"))

    found = largest(parts, {})

    assert {key: found[key] for key in ("w0", "w1", "w2")} == {"w0": 40_000, "w1": 20_000, "w2": 13_332}


@given(GROUPS)
def test_what_is_packed_comes_back(counts: dict[str, int]) -> None:
    head = head_of(pack(counts))

    assert unpack(pack(counts)) == counts
    assert head.counts == {key: counts[key] for key in head.counts}
    assert len(head.counts) == min(5, len(counts))
    assert all(head.least <= n <= max(head.most, 0) for key, n in counts.items() if key not in head.counts)
