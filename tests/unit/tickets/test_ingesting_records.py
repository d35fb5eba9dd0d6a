"""Records of a source on their way to tickets: which are there, which are gone, and which are neither."""

from typing import Any

from common.connectors.connector import Endpoint
from common.connectors.zendesk import Zendesk
from workers.tickets.ingesting.records import Records, Sorted


def record(ticket_id: Any, status: str = "open", at: str | None = "2026-01-01T00:00:00Z", **fields: Any) -> Any:
    return {"id": ticket_id, "status": status, "updated_at": at, "description": "It has not come.", **fields}


def sort(*records: Any, first_number: int = 1) -> Sorted:
    return Records(Zendesk(Endpoint("https://acme.zendesk.com", 100))).sort(records, first_number)


def test_what_is_there_and_what_is_gone_are_told_apart() -> None:
    found = sort(record(1), record(2, "deleted"), record(3))

    assert [one.natural_key for one in found.incoming] == ["id:1", "id:3"]
    assert (list(found.gone), list(found.seen)) == (["id:2"], ["id:1", "id:3"])


def test_of_a_record_that_is_there_and_gone_the_newest_word_counts() -> None:
    earlier, later = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"

    deleted = sort(record(1, "deleted", later), record(1, "open", earlier))
    back = sort(record(1, "open", later), record(1, "deleted", earlier))

    assert (list(deleted.incoming), list(deleted.gone)) == ([], ["id:1"])
    assert ([one.natural_key for one in back.incoming], list(back.gone)) == (["id:1"], [])


def test_without_a_time_the_last_word_counts() -> None:
    deleted = sort(record(1, "open", None), record(1, "deleted", None))
    back = sort(record(1, "deleted", None), record(1, "open", None))

    assert (len(deleted.incoming), len(deleted.gone)) == (0, 1)
    assert (len(back.incoming), len(back.gone)) == (1, 0)


def test_what_can_not_be_a_ticket_is_seen_unless_it_has_no_name() -> None:
    found = sort(record(1, subject=["a", "list"]), record(None), {}, first_number=11)

    assert list(found.incoming) == []
    assert (list(found.seen), found.nameless) == (["id:1"], 2)
    assert [(one.line, one.column) for one in found.refusals] == [(11, "subject"), (12, "id"), (13, "id")]
