"""A file of tickets is imported: every row once, exactly as it was written, whatever is imported again."""

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from common.storage.folder import FolderBlobStore
from common.tickets.batches import BATCH_ROWS
from common.tickets.classifying.classifier import VERSION, classify
from common.tickets.collections import REFUSED_ROWS, TICKETS
from common.tickets.counts import REFUSED_KEPT_MAX
from workers.context import Context
from workers.runner import Outcome

DATA = Path(__file__).parents[4] / "shared" / "data"
ODD_FILES = sorted((DATA / "hostile" / "csv" / "csvs").glob("*.csv"))
STRINGS = DATA / "hostile" / "strings" / "blns.json"
MESSAGES = DATA / "customer-messages" / "train.csv"


def lines(*rows: str) -> bytes:
    return "\n".join(rows).encode()


def counts(result: Any) -> dict[str, int]:
    return {name: count for name, count in result.items() if isinstance(count, int) and count}


def test_rows_become_tickets_with_all_their_fields(importer: Any) -> None:
    result = importer(
        lines(
            "nr,customer_id,channel,subject,text,status,tags,created_at,plan",
            '17,c1,email,Hello,"It broke,\ntwice",Pending,"a,b",2026-01-31T09:30:00+01:00,gold',
            "18,,,,Help,,,,",
        ),
        mapping={"external_id": "nr", "message": "text"},
        source="zendesk",
    )

    first, second = importer.tickets()
    assert counts(result) == {"rows": 2, "new": 2}
    assert {name: first[name] for name in first if name not in {"id", "links", "updated_at"}} == {
        "source_id": "zendesk",
        "external_id": "17",
        "customer_id": "c1",
        "channel": "email",
        "subject": "Hello",
        "message": "It broke,\ntwice",
        "status": "pending",
        "tags": ["a", "b"],
        "attributes": {"plan": "gold"},
        **asdict(classify("Hello", "It broke,\ntwice")),
        "classifier": VERSION,
        "overridden": [],
        "created_at": "2026-01-31T08:30:00.000Z",
        "deleted_at": None,
        "expires_at": None,
    }
    here = f"/v1/tickets/{first['id']}"
    assert first["links"] == {"self": here, "history": f"{here}/history"}
    assert (second["status"], second["tags"], second["attributes"]) == ("open", [], {"plan": ""})
    assert second["created_at"] == second["updated_at"]


def test_the_same_file_again_changes_nothing(importer: Any) -> None:
    content = lines("external_id,message", "1,a", "2,b", "2,b", ",c", ",c", "4,")
    first = importer(content)
    before = importer.find(TICKETS)

    again = importer(content)

    assert counts(first) == {"rows": 6, "new": 3, "repeated": 2, "refused": 1, "refused_kept": 1}
    assert counts(again) == {"rows": 6, "unchanged": 3, "repeated": 2, "refused": 1, "refused_kept": 1}
    assert importer.find(TICKETS) == before


def test_identical_rows_far_apart_are_one_ticket_and_counted_as_repeated(importer: Any) -> None:
    rows = [f"m{number}" for number in range(BATCH_ROWS + 100)]

    result = importer(lines("message", *rows, *rows[:50]))

    assert counts(result) == {"rows": BATCH_ROWS + 150, "new": BATCH_ROWS + 100, "repeated": 50}
    assert len(importer.find(TICKETS)) == BATCH_ROWS + 100


def test_the_last_row_of_a_ticket_wins_within_a_batch_and_across_batches(importer: Any) -> None:
    filler = [f"{number},x" for number in range(BATCH_ROWS)]

    result = importer(lines("external_id,message", "a,A1", "a,A2", "a,A1", *filler, "a,A3", "a,A1"))

    assert counts(result) == {"rows": BATCH_ROWS + 5, "new": BATCH_ROWS + 1, "updated": 4}
    [ticket] = importer.find(TICKETS, external_id="a")
    assert ticket["message"] == "A1"


def test_an_update_keeps_the_ticket_and_the_fields_that_the_file_does_not_have(importer: Any) -> None:
    importer(lines("external_id,message,subject,status", "1,a,s,closed"))
    [before] = importer.find(TICKETS)

    result = importer(lines("external_id,message", "1,b"))

    [after] = importer.find(TICKETS)
    assert counts(result) == {"rows": 1, "updated": 1}
    assert (after["_id"], after["created_at"]) == (before["_id"], before["created_at"])
    assert (after["message"], after["subject"], after["status"]) == ("b", "s", "closed")


def test_rows_of_two_sources_never_meet(importer: Any) -> None:
    importer(lines("external_id,message", "1,a"), source="one")

    assert counts(importer(lines("external_id,message", "1,a"), source="two")) == {"rows": 1, "new": 1}


def test_rows_of_two_organizations_never_meet(importer: Any, other_importer: Any) -> None:
    importer(lines("external_id,message", "1,mine"))

    assert counts(other_importer(lines("external_id,message", "1,theirs"))) == {"rows": 1, "new": 1}
    assert [ticket["message"] for ticket in importer.tickets()] == ["mine"]


def test_refused_rows_are_kept_with_line_column_and_reason(importer: Any) -> None:
    record = importer.submit(lines("message,status", "a,open", '"b\nb",odd', "c", "d,closed"))
    outcome = importer.run(record)

    kept = [(row["job_id"], row["line"], row["column"], row["reason"]) for row in importer.find(REFUSED_ROWS)]
    assert kept == [
        (record.id, 3, "status", "status must be one of open, pending, resolved, closed."),
        (record.id, 5, None, "The row has 1 values where the header has 2."),
    ]
    assert counts(outcome.result) == {"rows": 4, "new": 2, "refused": 2, "refused_kept": 2}
    assert outcome.result["refused_rows"] == f"/v1/tickets/imports/{record.id}/refused-rows"


def test_refused_rows_are_counted_all_and_kept_up_to_the_bound(importer: Any) -> None:
    over = REFUSED_KEPT_MAX + 10

    result = importer(lines("message,status", *["x,odd"] * over, "good,open"))

    assert counts(result) == {"rows": over + 1, "new": 1, "refused": over, "refused_kept": REFUSED_KEPT_MAX}
    assert len(importer.find(REFUSED_ROWS)) == REFUSED_KEPT_MAX


def test_json_lines_are_imported_and_a_bad_line_in_the_middle_is_one_refused_row(importer: Any) -> None:
    content = lines(
        '{"message": "a", "tags": ["x"], "n": 1}', "{", '{"message": "b", "deep": {"x": 1}}', '{"message": "c"}'
    )

    result = importer(content, format="jsonl")

    assert counts(result) == {"rows": 4, "new": 2, "refused": 2, "refused_kept": 2}
    assert [(row["line"], row["column"]) for row in importer.find(REFUSED_ROWS)] == [(2, None), (3, "deep")]
    assert importer.tickets()[0]["attributes"] == {"n": 1}


def test_names_and_values_that_look_like_operators_are_stored_exactly(importer: Any) -> None:
    texts = ["$state", "$$ROOT", "$1.50"]
    header = ["message", "subject", "_id", "$set", "org_id", "a.b", "customer_id"]

    importer(lines(",".join(header), *[",".join([text] * len(header)) for text in texts]))

    for text, ticket in zip(texts, importer.tickets(), strict=True):
        assert (ticket["message"], ticket["subject"], ticket["customer_id"]) == (text, text, text)
        assert ticket["attributes"] == dict.fromkeys(("_id", "$set", "org_id", "a.b"), text)
        assert ticket["id"] != text


def test_an_update_with_odd_attributes_is_exact_too(importer: Any) -> None:
    importer(lines("external_id,message,$set", "1,a,x"))

    importer(lines("external_id,message,$set,a.b", "1,$1.50,$state,$$ROOT"))

    [ticket] = importer.tickets()
    assert (ticket["message"], ticket["attributes"]) == ("$1.50", {"$set": "$state", "a.b": "$$ROOT"})


OWN_FILE = (
    b'\xef\xbb\xbfa,b\r\n1,"say ""x"",\r\nthen y"\r\n2,""',
    [{"a": "1", "b": 'say "x",\r\nthen y'}, {"a": "2", "b": ""}],
)


def odd_files() -> list[tuple[bytes, list[dict[str, str]]]]:
    """Return each odd file with what it means."""
    found = [OWN_FILE]
    for path in ODD_FILES:
        said = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        if path.stem == "location_coordinates":  # its JSON has another telephone number than its CSV, and no list
            said = [{**said, "Contact Phone Number": "2095257564"}]
        found.append((path.read_bytes(), said))
    return found


@pytest.mark.parametrize(("content", "said"), odd_files(), ids=["own", *(path.stem for path in ODD_FILES)])
def test_odd_files_become_tickets_as_they_are_meant(
    importer: Any, content: bytes, said: list[dict[str, str]]
) -> None:
    column = next(iter(said[0]))

    importer(content, mapping={"message": column})

    assert [{column: ticket["message"], **ticket["attributes"]} for ticket in importer.tickets()] == said


def hostile_strings() -> list[str]:
    found = json.loads(STRINGS.read_text(encoding="utf-8")) if STRINGS.exists() else []
    return [*found, "", " ", "a\0b", "\u202e", "\U0001f3ab" * 10, "'; DROP TABLE", "x" * 300]


TEXT_FIELDS = ("message", "subject", "customer_id", "channel", "external_id")


@pytest.mark.parametrize("field", [*TEXT_FIELDS, "else"])
def test_each_hostile_string_is_stored_exactly_in_each_field_or_refused_by_name(importer: Any, field: str) -> None:
    texts = hostile_strings()
    rows = [{"message": "x", "nr": line, field: text} for line, text in enumerate(texts, start=1)]

    result = importer("\n".join(map(json.dumps, rows)).encode(), format="jsonl", mapping={"message": "message"})

    refused = {row["line"]: row["column"] for row in importer.find(REFUSED_ROWS)}
    stored = {ticket["attributes"].pop("nr"): {**ticket, **ticket["attributes"]} for ticket in importer.tickets()}
    assert set(refused.values()) <= {field}
    assert len(refused) + result["new"] + result["updated"] == len(texts)
    for line, ticket in stored.items():
        assert ticket[field] == (texts[line - 1] or (None if field == "external_id" else ""))


def message_files() -> list[tuple[bytes, int]]:
    """Return files of messages in a column `text`, with their numbers of rows."""
    own = lines("text,category", *[f'"It came, and {number % 40} broke",card' for number in range(60)])
    return [(own, 60), *([(MESSAGES.read_bytes(), 10_003)] if MESSAGES.exists() else [])]


@pytest.mark.parametrize(
    ("content", "rows"), message_files(), ids=lambda value: f"{value} rows" if isinstance(value, int) else ""
)
def test_files_of_messages_are_imported_in_whole(importer: Any, content: bytes, rows: int) -> None:
    result = importer(content, mapping={"message": "text"})

    assert (result["rows"], result["refused"]) == (rows, 0)
    assert result["new"] + result["repeated"] == rows
    assert len(importer.find(TICKETS)) == result["new"]


def test_a_file_that_is_gone_fails_the_job_by_name(importer: Any) -> None:
    record = importer.submit(lines("message", "a"))
    importer.services.blobs.delete(record.payload["blob_id"])

    outcome = importer.run(record)

    assert (outcome.ending, outcome.code) == ("failed", "file-gone")


@pytest.mark.parametrize(
    ("content", "mapping", "code"),
    [
        (b"", {}, "file-empty"),
        (b"a,b\n1,2\n", {}, "column-missing"),
        (b"message\nx\n", {"subject": "no such"}, "column-missing"),
        (bytes(range(128, 256)) * 9, {}, "encoding-unknown"),
    ],
)
def test_a_file_that_can_not_be_read_fails_by_name_and_writes_nothing(
    importer: Any, content: bytes, mapping: dict[str, str], code: str
) -> None:
    outcome = importer.run(importer.submit(content, mapping=mapping))

    assert (outcome.ending, outcome.code) == ("failed", code)
    assert importer.find(TICKETS) == importer.find(REFUSED_ROWS) == []


def test_the_stored_file_goes_with_the_end_of_the_import(importer: Any) -> None:
    record = importer.submit(lines("message", "a"))
    blobs: FolderBlobStore = importer.services.blobs
    assert blobs.exists(record.payload["blob_id"])

    importer.run(record)

    assert not blobs.exists(record.payload["blob_id"])


def test_a_file_with_a_header_only_has_no_rows(importer: Any) -> None:
    assert counts(importer(b"message\n")) == {}


def test_two_imports_of_the_same_rows_at_once_make_each_ticket_once(importer: Any) -> None:
    content = lines("external_id,message", *[f"{number},m{number}" for number in range(3 * BATCH_ROWS)])
    records = [importer.submit(content) for _ in range(2)]
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda r=record: outcomes.append(importer.run(r))) for record in records]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert [outcome.ending for outcome in outcomes] == ["succeeded", "succeeded"], outcomes
    assert sum(outcome.result["new"] for outcome in outcomes) == 3 * BATCH_ROWS
    assert sum(outcome.result["unchanged"] for outcome in outcomes) == 3 * BATCH_ROWS
    assert len(importer.find(TICKETS)) == 3 * BATCH_ROWS


def test_a_ticket_that_changed_between_reading_and_writing_is_read_again(importer: Any) -> None:
    importer(lines("external_id,message", "1,first"))
    others: list[Any] = []

    class Overtaken(Context):
        def write(self, *args: Any, **options: Any) -> Any:
            if options.get("done") and not others:
                others.append(None)
                others.append(importer(lines("external_id,message", "1,wanted")))
            return super().write(*args, **options)

    outcome = importer.run(importer.submit(lines("external_id,message", "1,wanted")), Overtaken)

    assert counts(others[1]) == {"rows": 1, "updated": 1}
    assert counts(outcome.result) == {"rows": 1, "unchanged": 1}
