"""What a full run has seen is forgotten only when nothing hangs on it any more, and trusted while it is true."""

import pytest

from common.tickets import seen
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import Death, check, dying, finish, go
from tests.source_server import Answer, Call
from workers.tickets.ingesting import ledger

AWAY = "t-0002"


def put(ingestion: Ingestion, count: int) -> None:
    for number in range(count):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")


def test_a_run_that_dies_while_it_forgets_deletes_nothing(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "_FORGOTTEN_AT_ONCE", 1)
    monkeypatch.setattr(ledger, "WRITTEN_EVERY_S", 0)
    put(ingestion, 35)
    check(ingestion, finish(ingestion, ingestion.start("full")))
    at_write, has_died = 1, True

    while has_died:
        record, has_died = ingestion.start("full"), False
        try:
            record = go(ingestion, record, dying(at_write, committed=True))
        except Death:
            has_died = True
        record = finish(ingestion, record)
        check(ingestion, record)
        assert record.result is not None
        assert (record.result["deleted"], record.result["kept_because"]) == (0, None)
        at_write += 1

    assert at_write > 8


def test_an_old_run_that_is_retried_believes_nothing_that_it_saw_before_another_one(ingestion: Ingestion) -> None:
    put(ingestion, 45)
    ingestion.run("full")
    away = ingestion.source.records.pop(AWAY)
    ingestion.source.interfere = _gone_after_page_3
    failed = ingestion.run("full")
    ingestion.source.records = {AWAY: away, **ingestion.source.records}
    ingestion.source.interfere = lambda _call, _number: None
    ingestion.run("full")

    record = finish(ingestion, ingestion.services.submitter.retry(ingestion.org_id, failed.id))

    assert failed.state == "failed"
    assert record.result is not None
    assert record.result["deleted"] == 0
    check(ingestion, record)


def test_a_run_is_retried_with_pages_of_the_size_that_the_source_has_by_then(ingestion: Ingestion) -> None:
    put(ingestion, 45)
    ingestion.source.interfere = _gone_after_page_3
    failed = ingestion.run("full")
    ingestion.services.sources.change(
        ingestion.caller, ingestion.source_id, {"page_size": 5}, credentials=None, revision=None
    )
    ingestion.source.interfere = lambda _call, _number: None
    ingestion.source.calls.clear()

    record = finish(ingestion, ingestion.services.submitter.retry(ingestion.org_id, failed.id))

    check(ingestion, record)
    assert {call.query["limit"] for call in ingestion.source.calls} == {"5"}
    assert "offset" not in ingestion.source.calls[0].query


def _gone_after_page_3(call: Call, _number: int) -> Answer | None:
    return Answer(404) if int(call.query.get("offset", 0)) > 20 else None
