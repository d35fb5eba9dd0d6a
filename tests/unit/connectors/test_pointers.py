"""What is read of a record at once is what its pointers read one by one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.connectors.pointers import is_stated, reader, reader_of_all

NAMES = st.sampled_from(["a", "b", "0", ""])
JSON = st.recursive(
    st.none() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
POINTERS = st.sampled_from(["", "/a", "/b", "/0", "/", "/a/b", "/b/0"])


@given(wheres=st.lists(POINTERS, max_size=5), whole=JSON)
def test_all_at_once_are_each_by_itself(wheres: list[str], whole: Any) -> None:
    found = reader_of_all(wheres)(whole)

    assert found == tuple(reader(where)(whole) for where in wheres)


@pytest.mark.parametrize("record", [{"id": 1, "text": "x"}, {"id": 1}, {}, [], "id", None])
def test_what_a_record_lacks_is_null(record: Any) -> None:
    found = reader_of_all(["/id", "/text"])(record)

    has = record if isinstance(record, dict) else {}
    assert found == (has.get("id"), has.get("text"))


@given(where=POINTERS, whole=JSON)
def test_what_is_not_null_is_stated(where: str, whole: Any) -> None:
    assert is_stated(where, whole) or reader(where)(whole) is None


@pytest.mark.parametrize("whole", [{"a": None}, {"a": False}, {"a": {"b": None}}, None])
def test_a_null_on_the_way_states_that_there_is_nothing(whole: Any) -> None:
    assert is_stated("/a/b", whole)


@pytest.mark.parametrize("whole", [{}, {"a": {}}, {"a": []}, {"a": "b"}, {"a": 0}, [], "a"])
def test_what_is_not_there_is_not_stated(whole: Any) -> None:
    assert not is_stated("/a/b", whole)
