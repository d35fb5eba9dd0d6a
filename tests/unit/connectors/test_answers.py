"""What statuses mean, and JSON that is not quite."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.connectors import answers
from common.coordination.circuit_breaker import means_ill
from common.errors import (
    AnswerRefused,
    CredentialsRefused,
    FairwayError,
    SourceAsksToWait,
    SourceGone,
    SourceIll,
    SourceRefused,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = sorted((Path(__file__).parents[4] / "shared/data/hostile/json").rglob("*.json"))


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (401, {}, CredentialsRefused),
        (403, {}, CredentialsRefused),
        (404, {}, SourceGone),
        (410, {}, SourceGone),
        (400, {}, SourceRefused),
        (422, {}, SourceRefused),
        (451, {}, SourceRefused),
        (429, {}, SourceAsksToWait),
        (503, {"retry-after": "3"}, SourceAsksToWait),
        (503, {}, SourceIll),
        (503, {"retry-after": "soon"}, SourceIll),
        (500, {"retry-after": "3"}, SourceIll),
        (408, {}, SourceIll),
        (425, {}, SourceIll),
        (599, {}, SourceIll),
        (204, {}, SourceIll),
        (304, {}, SourceIll),
        (302, {}, SourceIll),
        (999, {}, SourceIll),
    ],
)
def test_a_status_says_what_can_be_done(status: int, headers: dict[str, str], error: type[FairwayError]) -> None:
    with pytest.raises(error) as raised:
        answers.demand_page(status, headers, NOW)

    assert type(raised.value) is error


def test_only_what_is_the_hosts_fault_is_tried_again_and_counts_against_it() -> None:
    ill, refused = SourceIll("x"), SourceRefused("x")

    assert (ill.retryable, means_ill(ill)) == (True, True)
    assert (refused.retryable, means_ill(refused)) == (False, False)
    assert not means_ill(answers.asks_to_wait({}, NOW))


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({"retry-after": "0"}, 1), ({"retry-after": "7"}, 7), ({"x-ratelimit-reset": "1"}, 1), ({}, 60)],
)
def test_nobody_is_asked_again_at_once(headers: dict[str, str], wait_s: float) -> None:
    assert answers.asks_to_wait(headers, NOW).retry_after_s == wait_s


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'["caf\xc3\xa9", 1, null]', ["café", 1, None]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "ä"}'.encode("utf-16"), {"a": "ä"}),
        (rb'["ok \ud83d", "\ud83d\ude00", "\udc00x"]', ["ok \ufffd", "\U0001f600", "\ufffdx"]),
        (b'[NaN, Infinity, -Infinity, "NaN"]', [None, None, None, "NaN"]),
        (b"[1e999, 1.5]", ["1e999", 1.5]),
        (b"[NaN, 18446744073709551616]", [None, 18446744073709551616.0]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_json_that_is_garbled_in_one_place_is_read(body: bytes, value: Any) -> None:
    assert answers.read_json({}, body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html>",
        b"{",
        b"\xff\xfe\xfd",
        b'["caf\xe9"]',
        b"[" * 100_000,
        b"[1,]",
        b"\x00",
        b"9" * 5_000,
    ],
)
def test_a_body_that_is_no_json_is_no_page(body: bytes) -> None:
    with pytest.raises(SourceIll):
        answers.records(answers.read_json({}, body), "the top")


def test_html_is_called_by_its_name_and_nothing_of_it_is_repeated() -> None:
    with pytest.raises(SourceIll) as raised:
        answers.read_json({"content-type": "Text/HTML; charset=x"}, b"<html>secret</html>")

    assert raised.value.detail == "The source answered with HTML instead of a page."


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * 3_000_000 + b"0]",
        b"[" + b"{}," * 1_500_000 + b"{}]",
        b"[" + b",".join([b"[" * 900 + b"]" * 900] * 2_500) + b"]",
        b'[{"a":' + b'{"a":' * 900 + b"0" + b"}" * 900 + b"}" + b",{}" * 1_500_000 + b"]",
        b'{"data": "' + b"," * 3_000_000 + b'"}',
    ],
    ids=["numbers", "objects", "lists", "both", "text"],
)
def test_an_answer_of_too_many_values_is_refused_before_it_is_read(body: bytes) -> None:
    with pytest.raises(AnswerRefused, match="1,000,000 values"):
        answers.read_json({}, body)


def test_a_large_answer_of_few_values_is_read() -> None:
    text = "x" * 8_000_000

    assert answers.read_json({}, orjson.dumps([text])) == [text]


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf"%s"', rb'"\ud83d%s"', b"[NaN]%s"], ids=["mark", "half", "nan"])
def test_garbled_json_is_read_only_up_to_a_size(body: bytes) -> None:
    assert answers.read_json({}, body % (b" " * 1_000)) is not None
    with pytest.raises(SourceIll, match="too large"):
        answers.read_json({}, body % (b" " * 5_000_000))


def test_garbled_json_of_many_values_is_refused() -> None:
    with pytest.raises(AnswerRefused, match="250,000 values"):
        answers.read_json({}, b"\xef\xbb\xbf[" + b"{}," * 300_000 + b"{}]")


def test_a_page_of_more_records_than_anybody_asked_for_is_refused() -> None:
    assert len(answers.records([{}] * 10_000, "/data")) == 10_000
    with pytest.raises(AnswerRefused) as raised:
        answers.records([0] * 12_345, "/data")

    assert raised.value.detail == "The source's answer has 12,345 records at /data; a page may have 10,000."


@pytest.mark.skipif(not HOSTILE, reason="the hostile texts are not here")
def test_every_text_that_must_be_json_is_and_no_other_breaks_anything() -> None:
    for path in HOSTILE:
        try:
            answers.read_json({}, path.read_bytes())
        except SourceIll:
            assert not path.name.startswith("y_"), path.name


def test_an_entry_that_is_no_object_takes_no_other_along() -> None:
    assert answers.records([{"id": 1}, None, "x", [], {"id": 2}], "/data") == [{"id": 1}, {}, {}, {}, {"id": 2}]


@pytest.mark.parametrize("found", [None, {}, "x", 1, True])
def test_what_is_no_list_holds_no_records(found: Any) -> None:
    with pytest.raises(SourceIll, match="/data"):
        answers.records(found, "/data")


def test_only_a_count_is_a_total() -> None:
    assert [answers.total(one) for one in (0, 7, 2**63 - 1)] == [0, 7, 2**63 - 1]
    assert {answers.total(one) for one in (-1, True, 1.0, "7", None, 2**63, 2**64 - 1)} == {None}
