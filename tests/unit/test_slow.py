"""Slow operations are told by their shape: no value of a caller's gets out."""

from typing import Any

import pytest

from common.slow import shape


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"email": "ada@acme.example", "age": {"$gt": 7}}, {"email": "str", "age": {"$gt": "int"}}),
        ([{"$match": {"a": None}}, {"$limit": 3}], [{"$match": {"a": "NoneType"}}, {"$limit": "int"}]),
        ({"_id": {"$in": ["a", "b", "c"]}}, {"_id": {"$in": ["str", "… 3"]}}),
        (b"secret", "bytes"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}, {"a": {"b": {"c": {"d": {"e": {"f": "…"}}}}}}),
    ],
)
def test_a_shape_has_names_and_types_and_no_values(value: Any, seen: Any) -> None:
    assert shape(value) == seen


def test_a_shape_is_bounded() -> None:
    assert len(shape({str(number): number for number in range(1_000)})) == 20
    assert len(str(shape([[number] * number for number in range(100)]))) < 10_000
