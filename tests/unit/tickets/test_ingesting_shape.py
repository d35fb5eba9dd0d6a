"""How the shape of a source's records is watched."""

from typing import Any

from workers.tickets.ingesting.shape import FIELDS_MAX, Shape, ShapeChange, compare, merged, observe


def shape_of(*records: dict[str, Any]) -> Shape:
    found: Shape = {}
    for record in records:
        observe(found, record)
    return found


def test_a_first_run_has_nothing_to_report() -> None:
    assert compare({}, shape_of({"id": 1})) == []


def test_a_run_without_records_reports_nothing_missing() -> None:
    assert compare(shape_of({"id": 1}), {}) == []


def test_new_widened_and_missing_fields_are_reported() -> None:
    before = shape_of({"id": 1, "text": "a", "owner": "x"}, {"id": 2, "text": "b", "owner": "y"})
    now = shape_of({"id": "3", "text": "c", "team": None})

    assert compare(before, now) == [
        ShapeChange("id", "widened", ["text"]),
        ShapeChange("owner", "missing", ["text"]),
        ShapeChange("team", "new", ["null"]),
    ]


def test_a_field_that_some_records_lack_is_not_missing() -> None:
    before = shape_of({"id": 1, "note": "a"}, {"id": 2})

    assert compare(before, shape_of({"id": 3})) == []


def test_true_is_no_number() -> None:
    assert shape_of({"flag": True})["flag"]["types"] == ["boolean"]


def test_what_was_reported_once_is_known() -> None:
    before = shape_of({"id": 1, "owner": "x"})
    now = shape_of({"id": "1", "team": 5})

    known = merged(before, now)

    assert compare(known, now) == []


def test_a_run_without_records_forgets_nothing() -> None:
    before = shape_of({"id": 1})

    assert merged(before, {}) == before


def test_endless_names_of_fields_are_not_kept() -> None:
    found = shape_of({f"field{number}": 1 for number in range(10 * FIELDS_MAX)}, {"x" * 10_000: 1})

    assert len(found) == FIELDS_MAX
