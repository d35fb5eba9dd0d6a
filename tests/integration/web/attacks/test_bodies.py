"""Broken bodies, numbers that are none, and texts that come back to the letter."""

from typing import Any

import orjson
import pytest

from tests.integration.web.attacks.conftest import JSON, Ask, Document, real, with_json
from tests.integration.web.conftest import Member, problem_of

BROKEN: tuple[tuple[bytes, set[int]], ...] = (
    (b"{", {400}),
    (b"[1,", {400}),
    (b"", {400}),
    (b"null", {422}),
    (b"[]", {422}),
    (b'"x"', {422}),
    (b"1", {422}),
    (b'{"a":1,"a":2}', {422}),
    (b'{"filter":{},"filter":{}}', {422}),
    (b"[" * 100_000, {400}),
    (b'{"a":NaN}', {400}),
    (b'{"a":Infinity}', {400}),
    (b'{"a":-0}', {422}),
    (b'{"a":1e309}', {400, 422}),
    (b'{"a":' + b"9" * 10_000 + b"}", {400, 422}),
    (b'{"a":"\\ud800"}', {400}),
    (b'{"a":"\\u0000"}', {422}),
    (b'{"\\u0000":1}', {422}),
    (b"\xef\xbb\xbf{}", {400}),
    ('{"a":1}'.encode("utf-16"), {400}),
    (b'{"a":"\xff"}', {400}),
    (b'{"a":"\xc0\xaf"}', {400}),
    (b'{"a":[' + b"1," * 10_001 + b"1]}", {422}),
    (b'{"a":"' + b"x" * (1024 * 1024) + b'"}', {413}),
)


def test_a_broken_body_is_refused_for_what_it_is_everywhere(document: Document, ask: Ask) -> None:
    for method, path, _, role in with_json(document):
        for text, allowed in BROKEN:
            answer = ask(role, method, real(path), data=text, content_type=JSON)
            assert answer.status_code in allowed, (path, text[:40], answer.text)
            assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/json; charset=utf-16", "application/xml", "multipart/form-data"]
)
def test_a_body_of_another_type_is_refused_everywhere(document: Document, ask: Ask, media: str) -> None:
    for method, path, body, role in with_json(document):
        headers = {"Content-Type": media} if media else {}
        problem = problem_of(ask(role, method, real(path), data=orjson.dumps(body), headers=headers), 415)
        assert problem["type"] == "/problems/wrong-media-type", path


@pytest.mark.parametrize("steps", ["1", True, 1.0, 0, -1, 2**53 + 1, 2**63, 1e300, None, [1], {}])
def test_a_number_is_what_its_type_says(admin: Member, steps: Any) -> None:
    text = b'{"payload":{"steps":%s}}' % str(steps).replace("True", "true").replace("None", "null").encode()
    if isinstance(steps, str | list | dict):
        text = orjson.dumps({"payload": {"steps": steps}})

    problem = problem_of(admin("POST", "/v1/kinds/jobs.rehearse/jobs", data=text, content_type=JSON), 422)

    assert problem["errors"][0]["pointer"].startswith("/payload/steps")


@pytest.mark.parametrize(
    "instant",
    [
        "0000-00-00",
        "10000-01-01T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-01-01T00:00:00+99:99",
        "2024-01-01",
        7,
        "now",
    ],
)
def test_an_instant_is_one(admin: Member, instant: Any) -> None:
    body = {"payload": {}, "run_at": instant}

    problem = problem_of(admin("POST", "/v1/kinds/jobs.rehearse/jobs", json=body), 422)

    assert problem["errors"][0]["pointer"] == "/run_at"


def test_what_is_too_far_ahead_is_refused(admin: Member) -> None:
    body = {"payload": {}, "run_at": "2199-01-01T00:00:00Z"}

    assert (
        problem_of(admin("POST", "/v1/kinds/jobs.rehearse/jobs", json=body), 422)["errors"][0]["pointer"]
        == "/run_at"
    )


TEXTS = (
    "%n %s {0.__class__}",
    "{{7*7}}",
    "=cmd|'/c calc'!A1",
    "$state",
    "$$ROOT",
    "$1.50 off",
    "\u202etxt",
    "İ",
    "🏳0🌈",
    "*",
    "a:b/c",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back_to_the_letter(admin: Member, text: str) -> None:
    made = admin("POST", "/v1/kinds/jobs.rehearse/jobs", json={"payload": {}, "tags": [text]})

    assert made.status_code == 202, made.text
    assert admin("GET", f"/v1/jobs/{made.json['id']}").json["tags"] == [text]
