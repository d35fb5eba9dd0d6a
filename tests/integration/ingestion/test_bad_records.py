"""Records that can't be tickets are set aside, each with its field and why; what others say is kept exactly."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.tickets.attributes import from_stored
from common.tickets.collections import REFUSED_ROWS
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import check_history, refused
from tests.source_server import Answer

HOSTILE = Path(__file__).parents[4] / "shared" / "data" / "hostile" / "strings" / "blns.json"
INVENTED = [
    "",
    " ",
    "\t\n",
    "nul \x00 inside",
    "\ufeffmark",
    "$set",
    "$where: 1",
    "a.b.c",
    "%24",
    "_id",
    "__proto__",
    "{{7*7}}",
    "'; DROP TABLE tickets; --",
    "\u202eright to left",
    "e\u0301 and \u00e9",
    "👩‍👩‍👧",
    "\x1b[31m",
    "x" * 8_192,
    "\U0001d573",
    "\u2028",
]


def served(ingestion: Ingestion, records: list[Any]) -> None:
    """Have the source answer with exactly these records."""
    ingestion.source.interfere = lambda _call, _: Answer(body=json.dumps({"data": records}).encode())


def test_each_bad_record_is_listed_with_its_field_and_why(ingestion: Ingestion) -> None:
    good = {"id": "a", "text": "Fine."}
    served(
        ingestion,
        [
            {"text": "no id"},
            good,
            {**good, "id": ""},
            {**good, "id": [1]},
            {**good, "id": "x" * 256},
            {**good, "id": "b", "text": None},
            {**good, "id": "c", "text": "   "},
            {**good, "id": "d", "text": 17},
            {**good, "id": "e", "text": "x" * 65_537},
            {**good, "id": "f", "subject": {"a": 1}},
            {**good, "id": "g", "status": "lost"},
            {**good, "id": "h", "created_at": "yesterday"},
            {**good, "id": "i", "customer": "x" * 256},
            {**good, "id": "j", "priority": "x" * 8_193},
            {**good, "id": "k", "subject": "x" * 1_001},
            {**good, "id": "l", "customer": 2**70},
            {**good, "id": "z"},
        ],
    )

    record = ingestion.run()

    assert ingestion.figures(record) == {"new": 2, "errors": 15}
    assert ingestion.texts() == {"a": "Fine.", "z": "Fine."}
    found = refused(ingestion, record)
    assert [line for line, _, _ in found] == [1, *range(3, 17)]
    assert [column for _, column, _ in found] == [
        *["external_id"] * 4,
        *["message"] * 4,
        "subject",
        "status",
        "created_at",
        "customer_id",
        "priority",
        "subject",
        "customer_id",
    ]
    assert all(reason.endswith(".") and len(reason) < 200 for _, _, reason in found)


def test_lines_count_on_over_the_pages(ingestion: Ingestion) -> None:
    for number in range(25):
        ingestion.source.put(f"t-{number:02d}", text=None if number in {3, 14, 24} else "Fine.")

    record = ingestion.run()

    assert [line for line, _, _ in refused(ingestion, record)] == [4, 15, 25]


@pytest.mark.parametrize(
    "broken",
    [{"text": None}, {"text": ["Fine."]}, {"subject": {}}, {"status": "lost"}, {"customer": [1]}],
    ids=["no text", "a list", "an object", "a status", "a customer"],
)
def test_a_record_that_turns_bad_keeps_its_ticket(ingestion: Ingestion, broken: dict[str, Any]) -> None:
    for number in range(12):
        ingestion.source.put(f"t-{number:02d}", text="Fine.")
    ingestion.run()
    before = ingestion.tickets()
    ingestion.source.put("t-03", **{"text": "Fine.", **broken})

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"unchanged": 11, "errors": 1}
    assert ingestion.tickets() == before
    ingestion.source.put("t-03", text="Fine again.", status="open")
    assert ingestion.figures(ingestion.run("full")) == {"unchanged": 11, "updated": 1}
    check_history(ingestion)


def hostile_strings() -> list[Any]:
    found = orjson.loads(HOSTILE.read_bytes()) if HOSTILE.exists() else []
    return [*INVENTED, *found]


def test_hostile_texts_come_through_as_they_are(ingestion: Ingestion) -> None:
    texts = hostile_strings()
    wanted = {
        str(number): {"id": str(number), "text": f"{text}.", "subject": text, "customer": text[:255]}
        for number, text in enumerate(texts)
    }
    wanted = {
        key: {**one, "subject": one["subject"][:1_000], "note": texts[int(key)]} for key, one in wanted.items()
    }
    served(ingestion, list(wanted.values()))

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"new": len(texts)}
    tickets = ingestion.tickets()
    for key, one in wanted.items():
        ticket = tickets[key]
        assert (ticket["message"], ticket["subject"], ticket["customer_id"]) == (
            one["text"],
            one["subject"],
            one["customer"],
        )
        assert from_stored(ticket["attributes"])["note"] == one["note"]
    assert ingestion.figures(ingestion.run("full")) == {"unchanged": len(texts)}


def test_hostile_names_of_fields_come_through_as_they_are(ingestion: Ingestion) -> None:
    names = [text for text in dict.fromkeys(map(str, hostile_strings())) if len(text) <= 255]
    named = [name for name in names if name not in {"id", "text"}]
    served(
        ingestion,
        [{"id": str(number), "text": "Fine.", name: "here"} for number, name in enumerate(named)],
    )

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"new": len(named)}
    tickets = ingestion.tickets()
    for number, name in enumerate(named):
        assert from_stored(tickets[str(number)]["attributes"]) == {name: "here"}
    assert ingestion.figures(ingestion.run("full")) == {"unchanged": len(named)}
    check_history(ingestion)


def test_hostile_names_that_change_are_history(ingestion: Ingestion) -> None:
    names = ["$set", "a.b", "", "\x00", "_id", "$", "%24", "constructor"]
    served(ingestion, [{"id": "a", "text": "Fine.", **dict.fromkeys(names, "old")}])
    ingestion.run("full")
    served(ingestion, [{"id": "a", "text": "Fine.", **dict.fromkeys(names, "new")}])

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"updated": 1}
    assert from_stored(ingestion.tickets()["a"]["attributes"]) == dict.fromkeys(names, "new")


@pytest.mark.parametrize("sign", ["\x01", "\U00010348", '"', "\\"])
def test_what_a_source_calls_its_fields_fits_into_any_checkpoint(ingestion: Ingestion, sign: str) -> None:
    """As many names as are kept, as long as they may be, of signs that take most room, with every type."""
    kinds: list[Any] = ["a", 1, True, None, [], {}]
    names = [f"{number:03d}".ljust(60, sign) for number in range(200)]
    records = [
        {"id": str(number), "text": "Fine.", **dict.fromkeys(names, kind)} for number, kind in enumerate(kinds)
    ]
    far = f"{ingestion.source.url}/tickets?cursor={'x' * 7_500}"
    ingestion.source.interfere = lambda call, _: Answer(
        body=orjson.dumps({"data": records}),
        headers={} if "cursor" in call.query else {"Link": f'<{far}>; rel="next"'},
    )

    record = ingestion.run("full")

    assert record.state == "succeeded", record.errors or record.error
    assert record.result["read"] == 12


def test_what_is_set_aside_names_its_record_and_page_and_goes_in_time(ingestion: Ingestion) -> None:
    for number in range(12):
        ingestion.source.put(f"t-{number:04d}", text="Fine.")
    ingestion.source.put("t-bad", text=None)

    record = ingestion.run()

    (kept,) = ingestion.services.scope(ingestion.org_id)[REFUSED_ROWS].find({"job_id": record.id})
    assert (kept["external_id"], kept["page"], kept["line"]) == ("t-bad", 2, 13)
    assert kept["expires_at"] > ingestion.services.clock.now()


def test_hostile_ids_name_one_ticket_each(ingestion: Ingestion) -> None:
    """Those that differ only in case, form or blanks at the end are others; a number is the text of its digits."""
    named = [text for text in map(str, hostile_strings()) if text and not text.isspace() and len(text) <= 255]
    ids: list[Any] = [
        *dict.fromkeys([*named, "a", "A", "a ", "\u00e9", "e\u0301", "id:a", "gone:a"]),
        7_654_321,
        -7_654_321,
    ]
    served(ingestion, [{"id": one, "text": f"The record {one}."} for one in ids])

    first, second = ingestion.run("full"), ingestion.run("full")

    assert ingestion.figures(first) == {"new": len(ids)}
    assert ingestion.figures(second) == {"unchanged": len(ids)}
    assert ingestion.texts() == {str(one): f"The record {one}." for one in ids}
    served(ingestion, [{"id": one, "text": "Another text."} for one in ids[1:]])
    assert ingestion.figures(ingestion.run("full")) == {"updated": len(ids) - 1, "deleted": 1}
    check_history(ingestion)
