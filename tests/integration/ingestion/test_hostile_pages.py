"""A source that pages without end, in circles or with rubbish ends its run with a reason, and deletes nothing."""

import orjson
import pytest

from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import check, finish, place_of, with_next
from tests.source_server import Answer, Call


def put(ingestion: Ingestion, count: int) -> None:
    for number in range(count):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")


def error_of(ingestion: Ingestion, mode: str = "full") -> str:
    """Run once more and return the code that it failed with; its log tells it too, and what was there is there."""
    before = ingestion.texts()

    record = finish(ingestion, ingestion.start(mode))

    assert record.state == "failed"
    code = str(record.error["code"])
    assert record.attempt <= 1
    log = ingestion.log(record)
    assert (log["status"], log["error"]["code"], log["deleted"]) == ("failed", code, 0)
    assert log["error"]["detail"] == record.error["detail"]
    assert before.items() <= ingestion.texts().items()
    return code


@pytest.fixture
def full(ingestion: Ingestion) -> Ingestion:
    """Return the ingestion after a run over 35 records."""
    put(ingestion, 35)
    ingestion.run()
    return ingestion


def test_a_page_that_repeats_under_new_addresses(full: Ingestion) -> None:
    def repeat(call: Call, number: int) -> Answer:
        page = full.source.page(Call(call.path, {"limit": "10"}, {}))
        return with_next(page, f"{full.source.url}/tickets?limit=10&token={number}")

    full.source.interfere = repeat

    assert error_of(full) == "source-repeats"
    assert len(full.source.calls) < 15


def test_a_next_page_that_leads_back(full: Ingestion) -> None:
    def back(call: Call, _number: int) -> Answer | None:
        if place_of(call) < 20:
            return None
        return with_next(full.source.page(call), f"{full.source.url}/tickets?limit=10")

    full.source.interfere = back

    assert error_of(full) == "source-repeats"
    assert len(full.source.calls) < 20


def test_a_next_page_that_is_the_same(full: Ingestion) -> None:
    full.source.interfere = lambda call, _: with_next(
        full.source.page(call), f"{full.source.url}/tickets?limit=10&offset=10"
    )

    assert error_of(full) == "source-repeats"


def test_a_next_page_on_another_host_is_not_asked(full: Ingestion) -> None:
    full.source.interfere = lambda call, _: with_next(full.source.page(call), "https://elsewhere.example/tickets")
    before = len(full.source.calls)

    assert error_of(full) == "answer-refused"
    assert len(full.source.calls) == before + 1


def test_a_redirect_to_the_inside_is_not_followed(full: Ingestion) -> None:
    full.source.interfere = lambda _call, _: Answer(302, b"", {"Location": "http://127.0.0.1:27017/"})

    assert error_of(full) == "address-refused"


def test_empty_pages_for_ever(full: Ingestion) -> None:
    def empty(call: Call, number: int) -> Answer | None:
        if place_of(call) < 20:
            return None
        body = orjson.dumps({"data": [], "total": 35})
        return with_next(Answer(body=body), f"{full.source.url}/tickets?limit=10&offset=20&token={number}")

    full.source.interfere = empty

    assert error_of(full) == "source-endless"


def test_a_few_empty_pages_between_are_no_reason_to_stop(full: Ingestion) -> None:
    def empty(call: Call, _number: int) -> Answer | None:
        step = int(call.query.get("step", 0))
        if step == 3 or place_of(call) != 20:
            return None
        body = orjson.dumps({"data": [], "total": 35})
        return with_next(Answer(body=body), f"{full.source.url}/tickets?limit=10&offset=20&step={step + 1}")

    full.source.interfere = empty

    record = full.run("full")

    check(full, record)
    assert full.figures(record) == {"unchanged": 35}


def test_a_total_that_shrinks_below_what_was_promised_deletes_nothing(full: Ingestion) -> None:
    def shrink(call: Call, _number: int) -> Answer | None:
        found = orjson.loads(full.source.page(call).body)
        found["total"] = 35 - place_of(call)
        page = Answer(body=orjson.dumps(found))
        if place_of(call) == 20:
            return page
        return with_next(page, f"{full.source.url}/tickets?limit=10&offset={place_of(call) + 10}")

    full.source.interfere = shrink

    record = full.run("full")

    assert record.result["deleted"] == 0
    assert record.result["kept_because"] == "The source says that it has 35 records, and showed 30."
    assert len(full.tickets()) == 35


def test_a_list_that_is_cut_short_of_its_total_deletes_nothing(full: Ingestion) -> None:
    full.source.interfere = lambda call, _: Answer(body=full.source.page(call).body)

    record = full.run("full")

    assert record.result["deleted"] == 0
    assert record.result["kept_because"] == "The source says that it has 35 records, and showed 10."
    assert len(full.tickets()) == 35


def test_of_a_record_that_is_on_a_page_twice_the_newest_counts(full: Ingestion) -> None:
    older, newer = (
        {"id": "t-twice", "text": text, "customer": "c-1", "status": "open", "changed_at": at}
        for text, at in (("It was so.", "2026-01-01T00:00:01Z"), ("It is so.", "2026-01-02T00:00:01Z"))
    )
    full.source.interfere = lambda _call, _: Answer(body=orjson.dumps({"data": [older, newer, older], "total": 3}))

    record = full.run()

    assert full.figures(record) == {"new": 1, "repeated": 2}
    assert full.texts()["t-twice"] == "It is so."


def test_a_record_that_is_on_two_pages_is_one_ticket(full: Ingestion) -> None:
    def overlap(call: Call, _number: int) -> Answer | None:
        page = orjson.loads(full.source.page(call).body)
        if place_of(call) == 10:
            page["data"].append({**full.source.records["t-0003"], "text": "It has come."})
        return Answer(body=orjson.dumps(page), headers=full.source.page(call).headers)

    full.source.interfere = overlap

    record = full.run("full")

    assert full.figures(record) == {"unchanged": 35, "updated": 1}
    assert full.texts()["t-0003"] == "It has come."
    assert [one["action"] for one in full.history()] == ["updated"]


def test_html_with_200(full: Ingestion) -> None:
    full.source.interfere = lambda _call, _: Answer(
        200, b"<html><body>Sign in first</body></html>", {"Content-Type": "text/html"}
    )

    assert error_of(full) == "source-ill"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "Internal error"}',
        b'{"data": null}',
        b'{"data": {"id": 1}}',
        b"[]",
        b"null",
        b"",
        b'{"data": [{"id": "t-1"',
        b"[" * 100_000,
    ],
    ids=["an error", "null", "an object", "a list", "nothing known", "empty", "cut", "nested"],
)
def test_200_with_no_page_in_it(full: Ingestion, body: bytes) -> None:
    full.source.interfere = lambda _call, _: Answer(200, body)

    assert error_of(full) == "source-ill"


def test_a_page_of_twenty_thousand_records(full: Ingestion) -> None:
    body = orjson.dumps({"data": [{"id": str(number), "text": "x"} for number in range(20_000)]})
    full.source.interfere = lambda _call, _: Answer(body=body)

    assert error_of(full) == "answer-refused"
    assert len(full.tickets()) == 35


def test_a_page_that_fits_into_no_transaction(full: Ingestion) -> None:
    body = orjson.dumps({"data": [{"id": str(number), "text": "x" * 60_000} for number in range(300)]})
    full.source.interfere = lambda _call, _: Answer(body=body)

    assert error_of(full) == "page-too-large"


@pytest.mark.slow
def test_the_largest_page_is_taken(ingestion: Ingestion) -> None:
    records = [{"id": str(number), "text": f"{number} " + "x" * 1_600} for number in range(10_000)]
    body = orjson.dumps({"data": records})
    ingestion.source.interfere = lambda _call, _: Answer(body=body)

    record = ingestion.run("full")

    assert ingestion.figures(record) == {"new": 10_000}


def test_records_that_are_no_objects_are_set_aside(full: Ingestion) -> None:
    good = full.source.records["t-0001"]
    body = orjson.dumps({"data": [None, 7, good, "text", [], {}], "total": 6})
    full.source.interfere = lambda _call, _: Answer(body=body)

    record = full.run()

    assert full.figures(record) == {"unchanged": 1, "errors": 5}
    assert len(full.tickets()) == 35


def test_a_full_run_over_records_without_ids_deletes_nothing(full: Ingestion) -> None:
    """Whose they are can't be told: any ticket may be one of them."""
    records = [
        {**one, "id": None} if number % 2 else one for number, one in enumerate(full.source.records.values())
    ]
    full.source.interfere = lambda _call, _: Answer(body=orjson.dumps({"data": records, "total": 35}))

    record = full.run("full")

    assert full.figures(record) == {"unchanged": 18, "errors": 17}
    assert record.result["kept_because"] == "17 records of the source do not say which they are."
    assert len(full.tickets()) == 35


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "never",
        "",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ],
)
def test_a_date_that_is_none_harms_nothing(full: Ingestion, date: str) -> None:
    full.source.interfere = lambda call, _: Answer(
        body=full.source.page(call).body, headers={**full.source.page(call).headers, "Date": date}
    )
    full.source.put("t-0001", text="It has come.")

    record = full.run("full")

    check(full, record)


def test_a_source_that_says_it_lives_in_the_future_is_asked_for_what_changes_now(full: Ingestion) -> None:
    """What is dated later than it can be moves nothing beyond now, or no change would ever be asked for again."""

    def in_the_future(call: Call, _number: int) -> Answer | None:
        page = full.source.page(call)
        body = page.body.replace(b'"changed_at":"2026-', b'"changed_at":"2199-')
        return Answer(body=body, headers={**page.headers, "Date": "Fri, 31 Dec 2199 23:59:59 GMT"})

    full.source.interfere = in_the_future
    full.run("full")
    full.source.calls.clear()

    full.run("incremental")

    assert full.source.calls[0].query["since"] < "2190"
