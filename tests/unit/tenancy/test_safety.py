"""What a query may say, judged without a server: the test servers would refuse some of this themselves."""

from collections import OrderedDict
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from common.errors import FairwayError
from common.tenancy.safety import (
    DEPTH_MOST,
    Unsafe,
    refuse_forbidden,
    safe_document,
    safe_filter,
    safe_pipeline,
    safe_update,
)

FORBIDDEN = [
    *("$where", "$function", "$accumulator", "$out", "$merge", "$lookup", "$unionWith", "$graphLookup"),
    *("$query", "$orderby", "$_internalJsEmit", "$_internalExprEq", "$_"),
]


@pytest.mark.parametrize("word", FORBIDDEN)
def test_what_may_stand_nowhere_is_found_wherever_it_stands(word: str) -> None:
    for part in ({word: 1}, {"n": {word: 1}}, {"$or": [{"n": [{"m": ({word: 1},)}]}]}, [[{word: 1}]]):
        with pytest.raises(Unsafe, match="reach another collection"):
            refuse_forbidden(part)
    for check, part in (
        (safe_filter, {"$and": [{word: 1}]}),
        (safe_update, {"$set": {"n": {word: 1}}}),
        (safe_update, {"$pull": {"tags": {word: 1}}}),
        (safe_pipeline, [{"$group": {"_id": None, "n": {word: 1}}}]),
        (safe_pipeline, [{"$facet": {"all": [{"$match": {"n": {word: 1}}}]}}]),
    ):
        with pytest.raises(Unsafe):
            check(part)


def test_it_is_found_among_a_thousand_plain_values() -> None:
    class Sly(str):
        """A text, and an object of another type for all that."""

        __slots__ = ()

    for other in ({"$where": 1}, [{"$where": 1}], ({"$where": 1},), OrderedDict({"$where": 1})):
        for place in (0, 500, 1_000):
            values: list[Any] = [Sly("a"), None, *(f"key {number}" for number in range(1_000))]
            values.insert(place, other)

            with pytest.raises(Unsafe):
                safe_filter({"n": {"$in": values}})
    safe_filter({"n": {"$in": [Sly("$where"), *(f"$where {number}" for number in range(1_000))]}})


@pytest.mark.parametrize(
    "word", ["$alwaysTrue", "$alwaysFalse", "$sampleRate", "$set", "$eq", "$not", "$new", "$"]
)
def test_a_filter_begins_with_known_conditions_only(word: str) -> None:
    with pytest.raises(Unsafe, match="no condition"):
        safe_filter({word: 1})
    with pytest.raises(Unsafe, match="no condition"):
        safe_pipeline([{"$match": {"n": 1, word: 1}}])


@pytest.mark.parametrize("word", ["$setField", "$bitwise", "$v", "$new", "n", "$", "$SET", ""])
def test_an_update_is_of_known_operators_only(word: str) -> None:
    with pytest.raises(Unsafe):
        safe_update({word: {"n": 1}})


@pytest.mark.parametrize("key", [1, None, b"n", ("n",), 1.5])
def test_a_name_that_is_no_text_is_refused(key: Any) -> None:
    for check, part in (
        (safe_filter, {key: 1}),
        (safe_filter, {"n": {key: 1}}),
        (safe_update, {key: {"n": 1}}),
        (safe_update, {"$set": {key: 1}}),
        (safe_document, {"_id": 1, key: 1}),
        (safe_pipeline, [{"$match": {key: 1}}]),
    ):
        with pytest.raises(Unsafe):
            check(part)


def test_nesting_is_bounded_far_from_the_interpreters_own_limit() -> None:
    part: Any = 1
    for _ in range(DEPTH_MOST):
        part = {"n": part}

    assert safe_filter(part) is part
    for _ in range(100_000):
        part = [part]
    with pytest.raises(Unsafe, match="nested"):
        safe_filter({"n": part})


@pytest.mark.parametrize(
    "where",
    [
        *({}, {"_id": "x"}, {"n": {"$gte": 1, "$lt": 2}}, {"$or": [{"a": 1}, {"b": {"$in": [1]}}]}),
        *(
            {"$text": {"$search": "$where"}},
            {"tags": {"$elemMatch": {"$eq": "$out"}}},
            {"$expr": {"$eq": ["$a", 1]}},
        ),
    ],
)
def test_plain_conditions_are_let_through_as_they_are(where: dict[str, Any]) -> None:
    assert safe_filter(where) is where


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"n": "$where", "organization": 1, "org_ids": 2, "a.org_id": 3}},
        {"$setOnInsert": {"_id": "x"}, "$inc": {"n": 1}},
        {"$rename": {"a": "b"}},
        {"$push": {"tags": {"$each": [1], "$slice": -10}}},
        {"$unset": {"n": ""}, "$currentDate": {"at": True}},
    ],
)
def test_plain_changes_are_let_through_as_they_are(change: dict[str, Any]) -> None:
    assert safe_update(change) is change


def test_what_is_encoded_already_could_hide_a_name_and_is_refused() -> None:
    raw = RawBSONDocument(bson.encode({"_id": 1}))

    for check, part in (
        (safe_filter, raw),
        (safe_filter, {"n": raw}),
        (safe_update, raw),
        (safe_update, {"$set": raw}),
        (safe_update, {"$set": {"n": raw}}),
        (safe_document, raw),
        (safe_pipeline, [{"$match": raw}]),
        (safe_pipeline, [raw]),
    ):
        with pytest.raises(Unsafe):
            check(part)


def test_values_are_never_names() -> None:
    document = {"_id": "$x", "text": "$where", "attributes": {"a.b": "$out"}}

    assert safe_document(document) is document


def test_an_unsafe_query_is_a_mistake_of_ours_that_no_retry_mends() -> None:
    assert issubclass(Unsafe, FairwayError)
    assert not Unsafe.retryable
