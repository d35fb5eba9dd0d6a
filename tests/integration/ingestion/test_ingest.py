"""A source is ingested page by page: at the end the tickets equal it, and the counts say how they came."""

from tests.integration.ingestion.conftest import Ingestion


def put(ingestion: Ingestion, count: int) -> None:
    for number in range(count):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")


def test_a_first_run_brings_in_all_there_is(ingestion: Ingestion) -> None:
    put(ingestion, 35)

    record = ingestion.run()

    assert record.state == "succeeded"
    assert ingestion.figures(record) == {"new": 35}
    assert ingestion.texts() == ingestion.source.texts()
    assert len(ingestion.source.calls) == 4


def test_tickets_are_classified_as_they_come(ingestion: Ingestion) -> None:
    ingestion.source.put("t-1", text="URGENT: my card was stolen, block it immediately!")

    ingestion.run()

    ticket = ingestion.tickets()["t-1"]
    assert (ticket["urgency"], ticket["requires_action"]) == ("high", True)
    assert ticket["classifier"]


def test_an_incremental_run_asks_for_what_changed_and_writes_what_differs(ingestion: Ingestion) -> None:
    put(ingestion, 400)
    ingestion.run()
    ingestion.source.calls.clear()
    ingestion.source.put("t-0001", text="It has come.")
    ingestion.source.put("t-0400", text="Another one.")

    record = ingestion.run()

    assert ingestion.source.calls[0].query["since"].startswith("2026-01-01")
    assert ingestion.figures(record) == {"new": 1, "updated": 1, "unchanged": 301}
    assert ingestion.texts() == ingestion.source.texts()


def test_what_differs_is_history(ingestion: Ingestion) -> None:
    put(ingestion, 3)
    ingestion.run()
    ingestion.source.put("t-0001", text="It has come.", status="closed")

    record = ingestion.run()

    (entry,) = ingestion.history()
    assert (entry["action"], entry["job_id"]) == ("updated", record.id)
    changes = {one["field"]: (one["old"], one["new"]) for one in entry["changes"]}
    assert changes["message"] == ("Message 1: nothing has come yet.", "It has come.")
    assert changes["status"] == ("open", "closed")


def test_a_run_over_unchanged_records_writes_no_ticket(ingestion: Ingestion) -> None:
    put(ingestion, 25)
    ingestion.run()
    before = ingestion.tickets()

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"unchanged": 25}
    assert ingestion.tickets() == before


def test_a_full_run_deletes_what_is_gone(ingestion: Ingestion) -> None:
    put(ingestion, 25)
    ingestion.run()
    for number in (3, 14, 24):
        ingestion.source.remove(f"t-{number:04d}")

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"unchanged": 22, "deleted": 3}
    assert ingestion.texts() == ingestion.source.texts()


def test_an_incremental_run_deletes_nothing(ingestion: Ingestion) -> None:
    put(ingestion, 5)
    ingestion.run()
    ingestion.source.remove("t-0002")

    ingestion.run()

    assert len(ingestion.tickets()) == 5


def test_what_comes_back_is_the_ticket_that_it_was(ingestion: Ingestion) -> None:
    put(ingestion, 5)
    ingestion.run()
    was = ingestion.tickets()["t-0002"]
    record = ingestion.source.records["t-0002"]
    ingestion.source.remove("t-0002")
    ingestion.run("full")

    ingestion.source.put("t-0002", **record)
    record = ingestion.run("full")

    assert ingestion.figures(record) == {"unchanged": 4, "returned": 1}
    assert ingestion.tickets()["t-0002"]["_id"] == was["_id"]
    assert [one["action"] for one in ingestion.history()] == ["deleted", "returned"]


def test_a_full_run_of_a_source_that_shows_nothing_deletes_nothing(ingestion: Ingestion) -> None:
    put(ingestion, 5)
    ingestion.run()
    ingestion.source.records.clear()

    record = ingestion.run("full")

    assert record.result["kept_because"] == "The source showed no records at all."
    assert len(ingestion.tickets()) == 5


def test_a_bad_record_is_set_aside_and_the_rest_goes_on(ingestion: Ingestion) -> None:
    put(ingestion, 12)
    ingestion.source.put("t-bad", text=None)
    ingestion.source.put("t-last", text="Fine again.")

    record = ingestion.run()

    assert ingestion.figures(record) == {"new": 13, "errors": 1}
    assert "t-bad" not in ingestion.tickets()
    assert record.result["refused_records"] == f"/v1/ingestion-logs/{record.id}/refused-records"


def test_progress_counts_records_against_what_the_source_says(ingestion: Ingestion) -> None:
    put(ingestion, 25)

    record = ingestion.run()

    assert (record.progress.done, record.progress.total) == (25, 25)


def test_a_changed_shape_is_reported(ingestion: Ingestion) -> None:
    put(ingestion, 5)
    ingestion.run()
    ingestion.source.put("t-0001", text="Changed.", customer=17, team="north")

    record = ingestion.run()

    changes = {(one["field"], one["change"]) for one in record.result["shape_changes"]}
    assert changes == {("customer", "widened"), ("team", "new")}
    assert ingestion.log(record)["shape_changes"] == record.result["shape_changes"]


def test_the_log_says_what_the_result_says(ingestion: Ingestion) -> None:
    put(ingestion, 25)

    record = ingestion.run()

    log = ingestion.log(record)
    assert (log["status"], log["pages"], log["new"], log["errors"]) == ("succeeded", 3, 25, 0)
    assert log["ended_at"] >= log["started_at"]
