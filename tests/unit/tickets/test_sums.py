"""What deltas come to, rollup by rollup, is what each of their parts adds to each of its rollups."""

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.tickets.counting.cells import DAY, GROUPS, OCTET, QUARTERS_A_DAY, SPANS
from common.tickets.counting.sums import Key, Rollup, packed, summed, unpacked

KEYS = st.sampled_from(["a", "b", "total", "é"])
COUNTS = st.dictionaries(KEYS, st.integers(-2, 2).filter(bool), max_size=3)
DAYS = st.sampled_from([-65, -64, -1, 0, 7, 8, 63, 64, 20_000])
QUARTERS = st.dictionaries(
    st.integers(0, QUARTERS_A_DAY - 1).map(str), st.integers(-2, 2).filter(bool), max_size=3
)
PARTS = st.lists(
    st.builds(
        lambda source, day, cell, quarters, groups: {
            "source_id": source,
            "day": day,
            "cell": cell,
            "quarters": quarters,
            **groups,
        },
        st.sampled_from(["desk", "mail"]),
        DAYS,
        st.integers(0, 3),
        QUARTERS,
        st.dictionaries(st.sampled_from(GROUPS), COUNTS, max_size=4),
    ),
    max_size=12,
)


def one_by_one(parts: list[dict[str, Any]]) -> dict[tuple[Any, ...], int]:
    """Return each count that is not 0, by its rollup and its place in there."""
    found: Counter[tuple[Any, ...]] = Counter()
    for part in parts:
        for source in (part["source_id"], None):
            for span in SPANS:
                rollup = (source, span, part["day"] // span)
                for group in GROUPS:
                    for key, n in part.get(group, {}).items():
                        found[*rollup, str(part["cell"] if span == DAY else 0), group, key] += n
            for quarter, n in part["quarters"].items():
                at = part["day"] % OCTET * QUARTERS_A_DAY + int(quarter)
                found[source, OCTET, part["day"] // OCTET, "quarters", at] += n
    return {place: n for place, n in found.items() if n}


def counts_of(rollups: dict[Key, Rollup]) -> dict[tuple[Any, ...], int | None]:
    found: dict[tuple[Any, ...], int | None] = {}
    for key, rollup in rollups.items():
        for number, groups in rollup.cells.items():
            for group, counts in groups.items():
                assert counts, "a group of nothing is left out"
                found |= {(*key, number, group, name): n for name, n in counts.items()}
        found |= {(*key, "quarters", at): n for at, n in rollup.quarters.items()}
    return found


@given(PARTS)
def test_parts_come_to_what_they_add_one_by_one(parts: list[dict[str, Any]]) -> None:
    assert counts_of(summed(parts)) == one_by_one(parts)


@given(PARTS, PARTS)
def test_what_is_added_changes_nothing_of_where_it_came_from(
    some: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    first, second = summed(some), summed(more)
    kept = defaultdict(Rollup, summed(some))

    for key, rollup in second.items():
        kept[key].add(rollup)

    assert counts_of(kept) == one_by_one([*some, *more])
    assert (counts_of(first), counts_of(second)) == (one_by_one(some), one_by_one(more))


@given(PARTS)
def test_what_is_stored_comes_back(parts: list[dict[str, Any]]) -> None:
    rollups = summed(parts)

    again = {key: Rollup.restored(rollup.stored()) for key, rollup in rollups.items()}

    assert counts_of(again) == counts_of(rollups)


@given(st.dictionaries(st.integers(0, OCTET * QUARTERS_A_DAY - 1), st.integers(-(2**31), 2**31 - 1)))
def test_quarter_hours_that_are_packed_come_back(quarters: dict[int, int]) -> None:
    found = unpacked(packed(quarters))

    assert len(found) == OCTET * QUARTERS_A_DAY
    assert {number: n for number, n in enumerate(found) if n} == {at: n for at, n in quarters.items() if n}
