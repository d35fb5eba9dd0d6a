"""Names that callers choose are stored safely and come back exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.tickets.attributes import escape, from_stored, to_stored, unescape


@given(st.text())
def test_every_name_comes_back_and_is_no_operator_path_or_end(name: str) -> None:
    stored = escape(name)

    assert unescape(stored) == name
    assert stored
    assert not set(stored) & {"$", ".", "\0"}


@given(st.lists(st.text(), unique=True))
def test_two_names_never_become_one(names: list[str]) -> None:
    assert len({escape(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["_id", "org_id", "plan", "größe", "a b"])
def test_an_ordinary_name_is_stored_as_it_is(name: str) -> None:
    assert escape(name) == name


def test_attributes_keep_their_order_and_values() -> None:
    attributes = {"$set": 1, "a.b": "$state", "": None, "%": True, "z": 1.5}

    assert list(from_stored(to_stored(attributes)).items()) == list(attributes.items())
