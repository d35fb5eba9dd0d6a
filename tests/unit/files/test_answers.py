"""What a child answers is believed within bounds only."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.files.findings import Findings
from workers.files.examining.answers import Answer, Unbelievable, believe, say

SOUND: dict[str, Any] = {"media_type": "text/csv", "found": {"rows": 3}, "problem": None, "is_last": False}


def test_what_is_said_is_believed() -> None:
    findings = Findings(
        "text/csv", {"rows": 3, "is_encrypted": False, "sheets": [{"name": "ä", "rows": 1}]}, "Why."
    )

    assert believe(say(findings, is_last=True)) == Answer(findings, is_last=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"media_type": "text"},
        {"media_type": "text/html\r\nX: y"},
        {"media_type": "text/" + "x" * 200},
        {"media_type": 1},
        {"media_type": "TEXT/csv"},
        {"problem": "two\nlines"},
        {"problem": "x" * 301},
        {"problem": 1},
        {"is_last": 1},
        {"extra": 1},
        {"found": []},
        {"found": {"$set": 1}},
        {"found": {"a.b": 1}},
        {"found": {"a": -1}},
        {"found": {"a": 2**60}},
        {"found": {"a": 1.5}},
        {"found": {"a": None}},
        {"found": {"a": "x" * 301}},
        {"found": {"a": "\u202e"}},
        {"found": {"a": {"b": 1}}},
        {"found": {"a": ["x"]}},
        {"found": {"a": [{"b": [1]}]}},
        {"found": {"a": [{}] * 51}},
        {"found": {f"a{number}": 1 for number in range(33)}},
        {"found": {"a": [{"b": "x" * 300}] * 50}},
    ],
    ids=str,
)
def test_an_answer_beyond_the_bounds_is_not_believed(changed: dict[str, Any]) -> None:
    with pytest.raises(Unbelievable):
        believe(orjson.dumps(SOUND | changed))


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(str).map(str.encode))
def test_whatever_is_answered_raises_nothing_else(line: bytes) -> None:
    with pytest.raises(Unbelievable):
        believe(line)
