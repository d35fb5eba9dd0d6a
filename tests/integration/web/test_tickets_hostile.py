"""Tickets of hostile texts: each comes back to the letter or is refused, and no text is anything but a text."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from common.services import Services
from common.tickets.collections import TICKETS
from tests.integration.web.attacks.test_query_operators import OPERATORS
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import stored
from tests.integration.web.ticket_makers import change, history, make_ticket, show

NAUGHTY = Path(__file__).parents[3] / "../shared/data/hostile/strings/blns.json"
NAMES = (
    "$where",
    "$set",
    "a.b",
    "",
    "%24",
    "%",
    "__proto__",
    "_id",
    "org_id",
    "\x00",
    "a\x00b",
    "\u202e",
    "🏳0🌈",
    "é",
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Return hostile texts, those of a list that is beside the project where it is there."""
    own = ["$state", "$$ROOT", '{"$ne": 1}', "İ", "\ufeff", "\u2028", "=cmd|'/c calc'!A1", "{{7*7}}", "x" * 1_000]
    return own + (orjson.loads(NAUGHTY.read_bytes()) if NAUGHTY.exists() else [])


def test_a_text_comes_back_to_the_letter_or_is_refused(admin: Member, texts: list[str]) -> None:
    kept = 0
    for number, text in enumerate(texts):
        asked = {
            "message": text,
            "subject": text,
            "external_id": f"{number} {text}"[:255],
            "tags": [text[:100] or "-"],
            "attributes": {text[:255]: text},
        }

        answer = admin("POST", "/v1/tickets", json=asked)

        if not text or text.isspace():
            assert {fault["pointer"] for fault in problem_of(answer, 422)["errors"]} == {"/message"}, repr(text)
            continue
        assert answer.status_code == 201, (text, answer.text)
        seen = show(admin, answer.json["id"])
        assert {name: seen[name] for name in asked} == asked
        kept += 1
    assert kept > 5


def test_a_text_is_changed_and_remembered_to_the_letter(admin: Member, texts: list[str]) -> None:
    made = make_ticket(admin, attributes={"a": "before"})
    path = f"/v1/tickets/{made['id']}"
    was: str | None = None
    for text in dict.fromkeys(texts):
        answer = admin("PATCH", path, json={"subject": text, "attributes": {"a": text}})

        assert answer.status_code == 200, (text, answer.text)
        assert (answer.json["subject"], answer.json["attributes"]) == (text, {"a": text})
        (entry,) = history(admin, made["id"], limit=1)
        assert entry["changes"]["subject"] == {"old": was, "new": text}
        assert entry["changes"]["attributes.a"]["new"] == text
        was = text


def test_any_text_can_be_looked_for(admin: Member, texts: list[str]) -> None:
    make_ticket(admin)
    for text in texts:
        answer = admin("GET", "/v1/tickets", query_string={"q": text})

        assert answer.status_code in {200, 422}, (text, answer.text)
        by_source = admin("GET", "/v1/tickets", query_string={"source_id": text})
        assert by_source.status_code in {200, 422}, (text, by_source.text)
        assert by_source.status_code == 422 or by_source.json["items"] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_may_have_any_name(admin: Member, services: Services, name: str) -> None:
    made = make_ticket(admin, attributes={name: 1, "other": 2})

    changed = change(admin, made["id"], attributes={name: "x"})

    assert made["attributes"] == {name: 1, "other": 2}
    assert changed["attributes"] == {name: "x", "other": 2}
    (entry,) = history(admin, made["id"])
    assert entry["changes"] == {f"attributes.{name}": {"old": 1, "new": "x"}}
    assert change(admin, made["id"], attributes={name: None})["attributes"] == {"other": 2}
    assert stored(services, admin.org_id, TICKETS)[0]["org_id"] == admin.org_id


def test_no_operator_passes_for_a_value_of_a_ticket_that_is_there(admin: Member) -> None:
    made = make_ticket(admin, attributes={"a": 1})
    body: dict[str, Any] = {
        "subject": "s", "message": "m", "status": "open", "tags": ["t"], "customer_id": "c", "channel": "c",
        "urgency": "low", "sentiment": "neutral", "requires_action": True, "attributes": {"a": 1},
    }  # fmt: skip
    for name in body:
        for operator in OPERATORS:
            value = {"a": operator} if name == "attributes" else operator
            problem = problem_of(admin("PATCH", f"/v1/tickets/{made['id']}", json={**body, name: value}), 422)
            assert {fault["pointer"].split("/")[1] for fault in problem["errors"]} == {name}
        problem_of(admin("GET", "/v1/tickets", query_string={f"{name}[$ne]": "x"}), 422)

    assert show(admin, made["id"]) == made
    assert history(admin, made["id"]) == []


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**63 - 1, 0.1, -0.0, 5e-324, 1.0, 0, True])
def test_a_number_is_kept_exactly_and_as_what_it_is(admin: Member, number: float) -> None:
    made = make_ticket(admin, attributes={"n": number})

    seen = show(admin, made["id"])["attributes"]["n"]

    assert (seen, type(seen)) == (number, type(number))
    assert orjson.dumps(seen) == orjson.dumps(number)


@pytest.mark.parametrize(
    "query",
    [
        "status=new",
        "status=",
        "status=Open",
        "urgency=urgent",
        "sentiment=bad",
        "requires_action=1",
        "requires_action=yes",
        "deleted=all",
        "deleted=",
        "q=",
        "from=now",
        "from=2026-01-31",
        "to=9999-12-31T00:00:00Z",
        "to=2026-02-30T00:00:00Z",
        "source_id=",
        "customer_id=c",
        "status=open&status=closed",
        "sort=created_at",
        "q[$search]=x",
    ],
)
def test_a_parameter_that_says_nothing_is_named(admin: Member, query: str) -> None:
    problem = problem_of(admin("GET", f"/v1/tickets?{query}"), 422)

    assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]
