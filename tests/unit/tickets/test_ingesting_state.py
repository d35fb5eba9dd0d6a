"""Where an ingestion stands comes back from its checkpoint as it was."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from common.jobs.record import CHECKPOINT_MAX_BYTES
from workers.tickets.ingesting import shape
from workers.tickets.ingesting.repeats import Walk
from workers.tickets.ingesting.shape import Shape
from workers.tickets.ingesting.state import Pass, State, Tally

FIRST = State(started_at="2026-01-31T09:30:00.000Z", since=None, url=None)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.none()), st.just({}))
RECORDS = st.lists(st.dictionaries(st.text(), VALUES, max_size=8), max_size=8)


def shape_of(records: list[dict[str, object]]) -> Shape:
    found: Shape = {}
    for record in records:
        shape.observe(found, record)
    return found


@given(RECORDS, st.integers(0, 10**6), st.integers(1, 3))
def test_a_state_comes_back_from_its_checkpoint(records: list[dict[str, object]], count: int, number: int) -> None:
    state = State(
        started_at="2026-01-31T09:30:00.000Z",
        since=None,
        url="https://a.example/2",
        tally=Tally(read=count, new=count),
        now_on=Pass(number, places=Walk("a", 1, 2), contents=Walk("b", 3, 4), nameless=count),
        shape=shape_of(records),
        shape_changes=[],
    )

    assert State.restored(orjson.loads(orjson.dumps(state.checkpoint()))) == state


@given(RECORDS)
def test_no_name_that_a_source_gives_is_the_name_of_a_field(records: list[dict[str, object]]) -> None:
    kept = State(**{**vars(FIRST), "shape": shape_of(records)}).checkpoint()

    assert set(kept) == set(FIRST.checkpoint())
    assert all(isinstance(one, list) for one in kept["shape"])


def test_the_largest_state_fits_into_a_checkpoint() -> None:
    kinds: list[object] = ["a", 1, True, None, [], {}]
    names = [f"{number:03d}".ljust(60, "\U00010348") for number in range(shape.FIELDS_MAX + 50)]
    found = shape_of([dict.fromkeys(names, kind) for kind in kinds])
    state = State(
        **{
            **vars(FIRST),
            "url": "x" * 8_192,
            "cleared_to": "\x01" * 258,
            "kept_because": "x" * 200,
            "shape": found,
        }
    )

    assert len(orjson.dumps(state.checkpoint())) < CHECKPOINT_MAX_BYTES


def test_an_explicit_retry_forgets_what_ended_the_run_before() -> None:
    ended = State(
        **{**vars(FIRST), "failures": 7, "now_on": Pass(1, pages=9, empty=9, places=Walk("a"), contents=Walk("b"))}
    )

    again = ended.tried_anew(2)

    assert (again.failures, again.now_on) == (0, Pass(1, pages=9))
    assert ended.tried_anew(1) == ended
