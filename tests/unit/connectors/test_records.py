"""Values out of records that may hold anything."""

from datetime import UTC, datetime
from typing import Any

import pytest

from common.connectors import records

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05",
        "2026-01-02T05:04:05+02:00",
        1_767_323_045,
        1_767_323_045.0,
        1_767_323_045_000,
    ],
)
def test_an_instant_is_read_in_each_way_that_apis_write_it(value: Any) -> None:
    assert records.instant(value) == AT


@pytest.mark.parametrize(
    "value",
    [
        None, True, "", "soon", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "9999-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026" * 50, "\ud800", -1, 10**30, 1e300, 2**63, [], {},
    ],
)  # fmt: skip
def test_what_is_no_instant_or_a_senseless_one_is_none(value: Any) -> None:
    assert records.instant(value) is None


def test_a_count_since_1970_becomes_text_and_all_else_stays() -> None:
    assert records.instant_text(1_767_323_045) == "2026-01-02T03:04:05.000Z"
    assert [records.instant_text(one) for one in ("x", None, 10**30, True)] == ["x", None, 10**30, True]


def test_what_is_inside_is_found_or_is_null() -> None:
    assert records.inner({"a": {"b": 1}}, "a", "b") == 1
    assert [records.inner(one, "a", "b") for one in ({}, {"a": None}, {"a": [1]}, "ab", None, [])] == [None] * 6


def test_texts_are_taken_from_a_list_as_they_are_or_by_their_name() -> None:
    assert records.texts(["a", "b"]) == ["a", "b"]
    assert records.texts(["a", {"name": "b"}, {"name": 1}, {}, 7, ["c"]], "name") == ["a", "b"]
    assert records.texts(["a", {"name": "b"}]) == ["a"]
    assert records.texts("a") == records.texts(None) == []


def test_a_whole_number_that_64_bits_can_not_hold_becomes_its_digits() -> None:
    kept = {"a": 2**63 - 1, "b": -(2**63), "c": True, "d": 1e300}

    assert records.exact({**kept, "e": 2**63, "f": 2**64 - 1}) == {**kept, "e": f"{2**63}", "f": f"{2**64 - 1}"}
    assert records.said(a=2**63, b=None) == {"a": f"{2**63}"}
    assert records.at_most({"a": 1}, {"b": 2**63}) == {"a": 1, "b": f"{2**63}"}
