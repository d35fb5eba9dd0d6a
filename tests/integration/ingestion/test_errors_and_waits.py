"""What a source's errors do to a run: some it waits out, holding no worker and charging nothing, others end it."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from common.clock import SystemClock
from common.config import Settings
from common.errors import Unavailable
from common.jobs.record import JobRecord
from common.services import Services
from common.sources.collections import SOURCE_SECRETS
from common.sources.draft import Draft
from common.sources.logs import IngestionLog
from common.sources.source import Rate
from tests.integration.conftest import Slot, caller_of, make_organization
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import check, finish, go, let_waits_be_over, place_of
from tests.source_server import REST, Answer, Call
from workers.tickets.ingesting.run import FAILURES_MAX

AT_MOST_S = 3600
WRONG = REST | {"records": "/nope"}


@pytest.fixture
def full(ingestion: Ingestion) -> Ingestion:
    """Return the ingestion of a source with 95 records, ten pages."""
    for number in range(95):
        ingestion.source.put(f"t-{number:04d}", text=f"Message {number}: nothing has come yet.")
    return ingestion


def on_page(number: int, answer: Callable[[], Answer]) -> Callable[[Call, int], Answer | None]:
    """Answer so for the page of that number, from 1."""
    return lambda call, _: answer() if place_of(call) == 10 * (number - 1) else None


def shown(ingestion: Ingestion, job_id: Any) -> IngestionLog:
    found = ingestion.services.ingestion_logs.get(ingestion.org_id, job_id)
    assert found is not None
    return found


def test_a_500_on_page_7_is_waited_out_and_the_page_asked_again(full: Ingestion) -> None:
    answers = [Answer(500, b"")]
    full.source.interfere = lambda call, _: answers.pop() if answers and place_of(call) == 60 else None

    waits = full.run("full")
    ended = finish(full, waits)

    assert (waits.state, waits.waiting_for["reason"], waits.attempt) == ("waiting", "source_ill", 0)
    assert len(full.tickets()) == 95
    check(full, ended)
    assert full.figures(ended) == {"new": 95}
    assert [place_of(call) for call in full.source.calls] == [0, 10, 20, 30, 40, 50, 60, 60, 70, 80, 90]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 304, 206])
def test_an_error_for_ever_ends_the_run_after_so_many_tries(full: Ingestion, status: int) -> None:
    full.source.interfere = on_page(7, lambda: Answer(status, b""))

    record = full.run("full")
    waits = set()
    while not record.is_final:
        waits.add((record.waiting_for["reason"], record.attempt))
        let_waits_be_over(full)
        record = go(full, record)

    assert waits == {("source_ill", 0)}
    assert (record.state, record.error["code"]) == ("failed", "source-ill")
    assert sum(place_of(call) == 60 for call in full.source.calls) == FAILURES_MAX
    log = full.log(record)
    assert (log["status"], log["error"]["code"], log["new"], log["pages"]) == ("failed", "source-ill", 60, 6)


def test_tries_wait_longer_and_longer_and_never_in_step(full: Ingestion) -> None:
    full.source.interfere = on_page(1, lambda: Answer(500, b""))

    record, waits = full.start(), []
    for _ in range(FAILURES_MAX - 1):
        record = go(full, record)
        let_waits_be_over(full)
        waits.append(full.slot.outcomes[-1].delay_s)

    assert all(wait_s <= 2 * 2 ** (number + 1) for number, wait_s in enumerate(waits))
    assert len(set(waits)) == len(waits)


def test_a_host_that_stays_ill_is_left_alone_in_between(full: Ingestion) -> None:
    full.source.interfere = on_page(1, lambda: Answer(500, b""))

    record = full.start()
    for _ in range(8):
        record = go(full, record)

    assert record.waiting_for["reason"] == "circuit_open"
    assert record.attempt == 0
    assert len(full.source.calls) == 5


def test_a_failed_run_goes_on_with_the_page_that_was_missing_when_it_is_retried(full: Ingestion) -> None:
    full.source.interfere = on_page(7, lambda: Answer(500, b""))
    failed = finish(full, full.start("full"))
    full.source.interfere = lambda _call, _: None
    full.source.calls.clear()
    let_waits_be_over(full)

    record = finish(full, full.services.submitter.retry(full.org_id, failed.id))

    check(full, record)
    assert full.figures(record) == {"new": 95}
    assert [place_of(call) for call in full.source.calls] == [60, 70, 80, 90]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "source-gone"),
        (410, "source-gone"),
        (401, "credentials-refused"),
        (403, "credentials-refused"),
        (400, "source-refused"),
        (422, "source-refused"),
    ],
)
def test_what_can_not_be_retried_ends_the_run_at_once(full: Ingestion, status: int, code: str) -> None:
    full.source.interfere = on_page(7, lambda: Answer(status, b"{}"))

    record = full.run("full")

    assert (record.state, record.error["code"], len(full.source.calls)) == ("failed", code, 7)
    log = shown(full, record.id)
    assert (log.status, log.error["code"], log.counts["new"]) == ("failed", code, 60)
    assert log.error["detail"] == record.error["detail"]
    assert full.services.runs.start(full.caller, full.source_id, "full").state == "queued"


def dated(seconds: int) -> str:
    return format_datetime(SystemClock().now() + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("status", "told", "least_s", "most_s"),
    [
        (429, "40", 39, 40),
        (429, None, 59, 60),
        (429, "-5", 59, 60),
        (429, "0", 0.9, 1),
        (429, "99999999", AT_MOST_S - 1, AT_MOST_S),
        (429, "9" * 400, 59, 60),
        (429, "soon", 59, 60),
        (429, "in 40 s", 38, 40),
        (429, "an hour ago", 0.9, 1),
        (429, "in a year", AT_MOST_S - 2, AT_MOST_S),
        (503, "40", 39, 40),
        (503, "99999999", AT_MOST_S - 1, AT_MOST_S),
    ],
)
def test_who_asks_to_wait_is_asked_again_then_and_no_attempt_is_charged(
    full: Ingestion, status: int, told: str | None, least_s: float, most_s: float
) -> None:
    dates = {"in 40 s": 40, "an hour ago": -3600, "in a year": 365 * 86400}
    answers = [
        Answer(status, b"", {} if told is None else {"Retry-After": dated(dates[told]) if told in dates else told})
    ]
    full.source.interfere = lambda call, _: answers.pop() if answers and place_of(call) == 20 else None

    record = full.run("full")

    assert (record.state, record.waiting_for["reason"], record.attempt) == ("waiting", "retry_after", 0)
    assert least_s <= full.slot.outcomes[-1].delay_s <= most_s
    assert len(full.source.calls) == 3
    held = go(full, record)
    assert (held.waiting_for["reason"], len(full.source.calls)) == ("rate_limit", 3)
    check(full, finish(full, held))
    assert [place_of(call) for call in full.source.calls[2:4]] == [20, 20]


def test_a_503_without_a_time_counts_as_ill(full: Ingestion) -> None:
    full.source.interfere = on_page(1, lambda: Answer(503, b""))

    assert full.run().waiting_for["reason"] == "source_ill"


def test_who_is_held_back_holds_nobody_else_back_on_that_host(full: Ingestion) -> None:
    answers = [Answer(429, b"", {"Retry-After": "600"})]
    full.source.interfere = lambda _call, _: answers.pop() if answers else None
    told = full.run()
    theirs = another(full)
    same_org = another(full, of_the_same_organization=True)

    runs = [theirs.run(), same_org.run()]

    assert told.waiting_for["reason"] == "retry_after"
    assert [(one.state, one.result["new"]) for one in runs] == [("succeeded", 95)] * 2


def another(ingestion: Ingestion, *, of_the_same_organization: bool = False) -> Ingestion:
    """Return another source on that host."""
    services = ingestion.services
    caller = ingestion.caller if of_the_same_organization else caller_of(make_organization(services, "Other"))
    draft = Draft(name="Second", connector="rest", base_url=ingestion.source.url, page_size=10, config=REST)
    made = services.sources.create(caller, draft, {})
    return replace(ingestion, caller=caller, source_id=made.source_id)


@pytest.mark.parametrize("then", ["close", "half a body", "no HTTP"])
def test_a_connection_that_breaks_is_waited_out(full: Ingestion, then: str) -> None:
    def broken(handler: Any) -> None:
        if then == "half a body":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        elif then == "no HTTP":
            handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        handler.wfile.flush()

    answers = [Answer(then=broken)] * 2
    full.source.interfere = lambda call, _: answers.pop() if answers and place_of(call) == 30 else None

    waits = full.run("full")

    assert (waits.state, waits.waiting_for["reason"], waits.attempt) == ("waiting", "source_ill", 0)
    check(full, finish(full, waits))


def test_a_run_whose_credentials_are_gone_fails_and_says_so_in_its_log(ingestion: Ingestion) -> None:
    services, caller = ingestion.services, ingestion.caller
    config = {**REST, "auth": {"style": "bearer"}}
    draft = Draft(name="Closed", connector="rest", base_url=ingestion.source.url, page_size=10, config=config)
    made = services.sources.create(caller, draft, {"token": "a-token"})
    closed = replace(ingestion, source_id=made.source_id)
    started = closed.start()
    services.scope(caller.org_id)[SOURCE_SECRETS].delete_many({})

    record = go(closed, started)

    assert (record.state, record.error["code"]) == ("failed", "credentials-refused")
    assert shown(closed, record.id).status == "failed"


def test_credentials_are_sent_with_every_page_and_shown_nowhere(ingestion: Ingestion) -> None:
    config = {**REST, "auth": {"style": "header", "header": "X-Api-Key"}}
    draft = Draft(name="Closed", connector="rest", base_url=ingestion.source.url, page_size=10, config=config)
    made = ingestion.services.sources.create(ingestion.caller, draft, {"token": "s3cr3t-token"})
    closed = replace(ingestion, source_id=made.source_id)
    for number in range(25):
        closed.source.put(f"t-{number}", text="Fine.")

    record = closed.run()

    assert [call.header("x-api-key") for call in closed.source.calls] == ["s3cr3t-token"] * 3
    databases = [closed.services.settings.control_database, *closed.services.settings.data_databases]
    for name in databases:
        database = closed.services.control.jobs.database.client[name]
        for collection in database.list_collection_names():
            assert "s3cr3t-token" not in str(list(database[collection].find()))
    assert record.state == "succeeded"


def limited(full: Ingestion, limit: int, per_s: int) -> Ingestion:
    services = full.services
    draft = Draft(
        name="Slow",
        connector="rest",
        base_url=full.source.url,
        page_size=10,
        rate=Rate(limit, per_s),
        config=REST,
    )
    made = services.sources.create(full.caller, draft, {})
    return replace(full, source_id=made.source_id)


def until_ended(ingestion: Ingestion) -> tuple[JobRecord, list[float], set[str]]:
    """Run to the end, each wait of it as long as it says; return when it called too, and what it waited for."""
    calls: list[float] = []
    ingestion.source.interfere = lambda _call, _: calls.append(time.monotonic())
    record, reasons = ingestion.start(), set()
    deadline = time.monotonic() + 60
    while not record.is_final:
        assert time.monotonic() < deadline, record
        if record.run_at is not None and SystemClock().now() < record.run_at:
            time.sleep(0.005)
            continue
        record = go(ingestion, record)
        if record.waiting_for is not None:
            reasons.add(record.waiting_for["reason"])
            assert record.attempt == 0
    return record, calls, reasons


def test_a_sources_own_lower_limit_is_kept(full: Ingestion) -> None:
    slow = limited(full, 3, 3)

    record, calls, reasons = until_ended(slow)

    check(slow, record)
    assert reasons == {"rate_limit"}
    assert len(calls) == 10
    # The permit is taken some milliseconds before the source sees the call.
    assert all(late - early > 3 - 0.2 for early, late in zip(calls, calls[3:], strict=False)), calls


def test_the_hosts_shared_limit_is_kept_over_sources(full: Ingestion, settings: Settings) -> None:
    own = settings.model_copy(
        update={"ingest_allowed_hosts": (full.source.host,), "ingest_requests_per_minute": 8}
    )
    strict = Services(own)
    ingestions = [replace(one, services=strict, slot=Slot(strict)) for one in (another(full), another(full))]

    records = [go(one, one.start()) for one in ingestions]

    strict.close()
    assert {one.waiting_for["reason"] for one in records} == {"rate_limit"}
    assert {one.attempt for one in records} == {0}
    assert len(full.source.calls) == 8


@pytest.mark.parametrize("at", ["lock", "permit"])
def test_without_redis_a_run_waits(full: Ingestion, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def away(*_: object, **__: object) -> Any:
        raise Unavailable("Redis does not answer.")

    record = full.start()
    with monkeypatch.context() as patch:
        if at == "lock":
            patch.setattr(full.services.locks, "acquire", away)
        else:
            patch.setattr(full.services.outside_limiter, "reserve", away)
        waits = go(full, record)

    assert (waits.waiting_for["reason"], waits.attempt) == ("coordination_unavailable", 0)
    check(full, finish(full, waits))


@pytest.mark.parametrize("verb", ["look", "take"])
def test_without_redis_a_source_with_a_limit_of_its_own_waits(
    full: Ingestion, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def away(*_: object, **__: object) -> Any:
        raise Unavailable("Redis does not answer.")

    slow = limited(full, 60, 60)
    record = slow.start()
    with monkeypatch.context() as patch:
        patch.setattr(full.services.outside_limiter, verb, away)
        waits = go(slow, record)

    assert (waits.waiting_for["reason"], waits.attempt) == ("coordination_unavailable", 0)


def test_a_lock_that_somebody_else_holds_is_waited_for(full: Ingestion) -> None:
    lease = full.services.locks.acquire(f"{full.org_id}:source:{full.source_id}", 600)

    waits = full.run()

    assert (waits.waiting_for["reason"], waits.attempt) == ("lock", 0)
    full.services.locks.release(lease)
    check(full, finish(full, waits))


def test_waits_are_counted(full: Ingestion) -> None:
    answers = [Answer(429, b"", {"Retry-After": "5"}) for _ in range(3)]
    full.source.interfere = lambda call, _: answers.pop() if answers and place_of(call) == 30 else None

    record = finish(full, full.start("full"))

    assert full.log(record)["waits"] == 3


def test_a_badly_described_source_stops_nobody_elses_calls_to_that_host(full: Ingestion) -> None:
    for number in range(3):
        caller = caller_of(make_organization(full.services, f"Wrong {number}"))
        draft = Draft(name="Wrong", connector="rest", base_url=full.source.url, page_size=10, config=WRONG)
        made = full.services.sources.create(caller, draft, {})
        wrong = replace(full, caller=caller, source_id=made.source_id)
        record = wrong.start()
        for _ in range(6):
            record = go(wrong, record)
        assert record.waiting_for["reason"] == "source_ill"

    assert full.run().state == "succeeded"
