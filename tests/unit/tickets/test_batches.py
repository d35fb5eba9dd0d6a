"""What a batch comes to is what its rows would do one after another."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.tickets.batches import BATCH_BYTES, BATCH_ROWS, Decision, decide, in_batches
from common.tickets.counts import Counts
from common.tickets.fingerprints import Fingerprints, fingerprint
from common.tickets.reading.rows import Refusal
from common.tickets.ticket import Ticket, ticket


def row(key: str | None, message: str) -> Ticket:
    identity = {} if key is None else {"external_id": key}
    return ticket({**identity, "message": message, "attributes": {}})


@dataclass
class OneByOne:
    """The meaning, as plainly as it can be said: one row at a time against a table."""

    table: dict[str, str] = field(default_factory=dict)
    shown: set[tuple[str, str]] = field(default_factory=set)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("new", "updated", "unchanged", "repeated"), 0)
    )

    def take(self, one: Ticket) -> None:
        before = self.table.get(one.natural_key)
        if before is None:
            what = "new"
        elif before != one.content_hash:
            what = "updated"
        else:
            what = "repeated" if (one.natural_key, one.content_hash) in self.shown else "unchanged"
        self.counts[what] += 1
        self.table[one.natural_key] = one.content_hash
        self.shown.add((one.natural_key, one.content_hash))


class Table:
    """Stored tickets, changed by decisions as the database would be."""

    def __init__(self, table: dict[str, str]) -> None:
        self.table = dict(table)
        self.seen: set[bytes] = set()
        self.counts = Counts()

    def take(self, batch: list[Ticket]) -> Decision:
        keys = {one.natural_key for one in batch}
        known = {key: content for key, content in self.table.items() if key in keys}
        relevant = {fingerprint(one) for one in batch if one.natural_key in known} & self.seen
        decision = decide(batch, known, relevant)
        assert len({one.natural_key for one in decision.rows}) == len(decision.rows)
        self.table |= {one.natural_key: one.content_hash for one in decision.rows}
        self.seen |= {fingerprint(one) for one in batch}
        self.counts += decision.counts
        return decision


ROWS = st.lists(st.builds(row, st.sampled_from([None, "a", "b"]), st.sampled_from(["1", "2", "3"])), max_size=30)


@given(stored=ROWS, rows=ROWS, size=st.integers(1, 12))
def test_batches_of_any_size_do_what_the_rows_would_do_one_after_another(
    stored: list[Ticket], rows: list[Ticket], size: int
) -> None:
    before = {one.natural_key: one.content_hash for one in stored}
    meaning, table = OneByOne(dict(before)), Table(before)

    for one in rows:
        meaning.take(one)
    for start in range(0, len(rows), size):
        table.take(rows[start : start + size])

    assert table.table == meaning.table
    assert table.counts == Counts(rows=len(rows), **meaning.counts)


def test_the_last_row_of_a_key_wins_and_a_field_it_has_not_stays() -> None:
    first = ticket({"external_id": "a", "message": "1", "subject": "s", "attributes": {}})

    decision = decide([first, row("a", "2")], {}, set())

    assert [one.fields["message"] for one in decision.rows] == ["2"]
    assert [one.fields["subject"] for one in decision.rows] == ["s"]


def test_a_b_a_ends_as_a() -> None:
    table = Table({})

    for message in ("A1", "A2", "A1"):
        table.take([row("key", message)])

    assert table.table == {"id:key": row("key", "A1").content_hash}
    assert (table.counts.new, table.counts.updated, table.counts.repeated) == (1, 2, 0)


def test_batches_are_bounded_in_rows_and_in_bytes() -> None:
    small = [row(str(number), "x") for number in range(BATCH_ROWS * 2 + 1)]
    large = [row(str(number), "x" * 60_000) for number in range(200)]

    assert [len(batch) for batch in in_batches(small)] == [BATCH_ROWS, BATCH_ROWS, 1]
    assert all(len(batch) * 60_000 < BATCH_BYTES + 60_100 for batch in in_batches(large))
    assert list(in_batches([])) == []
    assert len(next(in_batches([Refusal(1, None, "x")] * (BATCH_ROWS + 1)))) == BATCH_ROWS


@pytest.mark.parametrize("held_max", [0, 700, 1_000, 100_000])
def test_fingerprints_are_found_again_and_only_they_in_memory_and_on_disk(held_max: int) -> None:
    prints = [fingerprint(row(str(number), "x")) for number in range(3_000)]

    with Fingerprints(held_max) as seen:
        seen.add(prints[:1_000])
        seen.add(prints[500:2_000])

        assert seen.among(prints) == set(prints[:2_000])
        assert seen.among(prints[1_990:2_010]) == set(prints[1_990:2_000])
        assert seen.among([]) == set()
