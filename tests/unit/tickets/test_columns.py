# ruff: noqa: RUF001 (look-alike letters of other scripts are what is tried)
"""One row becomes a ticket, or is refused with the column and the reason."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from common.errors import JobFailed
from common.tickets.attributes import from_stored
from common.tickets.columns import Columns
from common.tickets.reading.rows import Refusal, Row
from common.tickets.ticket import STATUSES, Ticket


def check(row: dict[str, Any], mapping: dict[str, str] | None = None) -> Ticket | Refusal:
    return Columns(mapping or {}).check(Row(7, tuple(row), list(row.values())))


def ticket(row: dict[str, Any], mapping: dict[str, str] | None = None) -> Ticket:
    found = check(row, mapping)
    assert isinstance(found, Ticket), found
    return found


def refusal(row: dict[str, Any], mapping: dict[str, str] | None = None) -> tuple[str | None, str]:
    found = check(row, mapping)
    assert isinstance(found, Refusal), found
    assert found.line == 7
    return found.column, found.reason


def test_columns_are_mapped_matched_by_name_or_kept_as_attributes() -> None:
    found = ticket(
        {"Text": "hello", " Subject ": "s", "plan": "gold", "nr": "17"}, {"message": "Text", "external_id": "nr"}
    )

    assert found.fields == {
        "message": "hello",
        "subject": "s",
        "external_id": "17",
        "attributes": {"plan": "gold"},
    }
    assert found.natural_key == "id:17"


def test_a_mapping_goes_before_a_name() -> None:
    found = ticket({"message": "not this", "body": "this"}, {"message": "body"})

    assert found.fields["message"] == "this"
    assert found.fields["attributes"] == {"message": "not this"}


def test_the_very_name_goes_before_a_similar_one() -> None:
    found = ticket({"Message": "not this", "message": "this"})

    assert found.fields["message"] == "this"


@pytest.mark.parametrize("header", [["a", "b"], []])
def test_a_file_without_a_column_for_the_message_fails(header: list[str]) -> None:
    with pytest.raises(JobFailed, match="No column gives the message"):
        Columns({}).demand(header)


def test_a_mapped_column_that_is_not_there_fails_by_name() -> None:
    with pytest.raises(JobFailed, match="no column 'body'"):
        Columns({"message": "body"}).demand(["text"])


@pytest.mark.parametrize("field", ["urgency", "_id", "org_id", "$set", ""])
def test_only_fields_of_a_ticket_can_be_mapped(field: str) -> None:
    with pytest.raises(JobFailed) as failed:
        Columns({"message": "text", field: "text"})

    assert failed.value.shown_code == "mapping-invalid"


@pytest.mark.parametrize(
    "text", ["$state", "$$ROOT", "$1.50", " padded ", "a\0b", "=cmd|'/c'!A1", "{{7*7}}", "\u202e\u200b"]
)
def test_a_text_is_stored_exactly_wherever_it_comes(text: str) -> None:
    row = {
        "message": text,
        "subject": text,
        "customer_id": text,
        "channel": text,
        "external_id": text,
        "else": text,
    }

    fields = ticket(row).fields

    assert all(fields[name] == text for name in row if name != "else")
    assert fields["attributes"] == {"else": text}


def test_names_of_attributes_come_back_exactly() -> None:
    names = ["_id", "$set", "org_id", "a.b", "a\0b", "%24", ""]

    fields = ticket({"message": "x", **dict.fromkeys(names, "v")}).fields

    assert list(from_stored(fields["attributes"])) == names


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("message", "", "must not be empty"),
        ("message", " \n\t", "must not be empty"),
        ("message", None, "must be text"),
        ("message", 5, "must be text"),
        ("message", "x" * 65_537, "at most 65536"),
        ("subject", "x" * 1_001, "at most 1000"),
        ("subject", ["x"], "must be text"),
        ("external_id", "x" * 256, "at most 255"),
        ("external_id", 1.5, "must be text"),
        ("customer_id", True, "must be text"),
        ("channel", {"a": 1}, "must be text"),
        ("status", "solved", "open, pending, resolved, closed"),
        ("status", 1, "open, pending, resolved, closed"),
        ("tags", ",".join(map(str, range(51))), "at most 50 tags"),
        ("tags", "x" * 101, "at most 100"),
        ("tags", [1], "list of texts"),
        ("tags", 7, "list of texts"),
        ("created_at", "yesterday", "must be a date"),
        ("created_at", 1_700_000_000, "must be a date"),
        ("created_at", "2024-02-30", "no date of the calendar"),
        ("created_at", "2024-01-01T23:59:60Z", "no date of the calendar"),
        ("created_at", "2024-01-01T00:00:00+99:99", "no date of the calendar"),
        ("created_at", "0000-00-00", "no date of the calendar"),
        ("created_at", "0001-01-01T00:00:00+23:59", "no date of the calendar"),
        ("created_at", "1969-12-31T23:59:59Z", "1970 to 2200"),
        ("created_at", "2201-01-01", "1970 to 2200"),
        ("created_at", "10000-01-01", "must be a date"),
        ("created_at", "２０２４-01-01", "must be a date"),
        ("note", ["x"], "single value"),
        ("note", {"x": 1}, "single value"),
        ("note", 2**63, "too large"),
        ("note", 1.2345678901234569e23, "too large"),
        ("note", "x" * 8_193, "at most 8192"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_column(field: str, value: Any, reason: str) -> None:
    column, said = refusal({"message": "x", field: value})

    assert column == field
    assert reason in said


def test_the_refusal_names_the_column_of_the_file_and_the_field() -> None:
    assert refusal({"text": "x", "Zustand": "offen"}, {"message": "text", "status": "Zustand"}) == (
        "Zustand",
        "status must be one of open, pending, resolved, closed.",
    )


def test_a_text_that_is_no_text_is_refused_by_column() -> None:
    column, reason = refusal({"message": "x", "note": "caf\udce9"})

    assert column == "note"
    assert "no text" in reason


def test_more_than_fifty_attributes_are_refused_by_the_first_too_many() -> None:
    columns = {f"c{number}": "x" for number in range(51)}

    assert refusal({"message": "x", **columns}) == ("c50", "The row has more than 50 attributes.")
    assert len(ticket({"message": "x", **dict(list(columns.items())[:50])}).fields["attributes"]) == 50


def test_a_name_over_the_bound_is_refused() -> None:
    assert "255" in refusal({"message": "x", "n" * 256: "x"})[1]


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_cell_leaves_what_has_a_default(empty: str | None) -> None:
    found = ticket({"message": "x", "status": empty, "created_at": empty, "external_id": empty, "tags": empty})

    assert found.fields == {"message": "x", "tags": [], "attributes": {}}
    assert found.natural_key.startswith("content:")


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_taken_in_any_case(status: str) -> None:
    assert ticket({"message": "x", "status": f" {status.upper()} "}).fields["status"] == status


@pytest.mark.parametrize("tags", ["a, b;a ,", ["a", "b", "a", ""]])
def test_tags_are_parted_and_kept_once(tags: Any) -> None:
    assert ticket({"message": "x", "tags": tags}).fields["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-01-31T09:30:00Z", datetime(2024, 1, 31, 9, 30, tzinfo=UTC)),
        ("2024-01-31t09:30:00.123456z", datetime(2024, 1, 31, 9, 30, 0, 123000, tzinfo=UTC)),
        (
            "2024-01-31 09:30:00+05:30",
            datetime(2024, 1, 31, 9, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        ),
        ("2024-01-31T09:30", datetime(2024, 1, 31, 9, 30, tzinfo=UTC)),
    ],
)
def test_an_instant_is_kept_in_utc_to_the_millisecond(text: str, instant: datetime) -> None:
    found = ticket({"message": "x", "created_at": text}).fields["created_at"]

    assert found == instant
    assert found.tzinfo is UTC


def test_a_key_made_of_content_can_not_be_posed_as_by_an_external_id() -> None:
    by_content = ticket({"message": "x"})

    posing = ticket({"message": "x", "external_id": by_content.natural_key})

    assert posing.natural_key != by_content.natural_key


def test_the_order_of_columns_does_not_change_the_content() -> None:
    one, other = ticket({"message": "x", "b": "1", "a": "2"}), ticket({"a": "2", "b": "1", "message": "x"})

    assert one.content_hash == other.content_hash


def test_numbers_become_the_digits_of_an_id_and_stay_numbers_as_attributes() -> None:
    fields = ticket({"message": "x", "external_id": 17, "n": 17, "f": 1.5, "t": True, "z": None}).fields

    assert fields["external_id"] == "17"
    assert fields["attributes"] == {"n": 17, "f": 1.5, "t": True, "z": None}
