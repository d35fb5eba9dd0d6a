"""Workers, Redis, MongoDB and sources fail while sources are ingested: the tickets equal the source in the end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from common.coordination.rate_limiter import SlidingWindow
from tests.faults.fleet import SIGKILL, until
from tests.faults.ingestion_at_risk import PAGE, IngestionAtRisk, Tenant, told
from tests.faults.proxy import Proxy
from tests.source_server import Answer, Call, Source

RECORDS = 40 * PAGE


@pytest.fixture
def at_risk() -> Iterator[IngestionAtRisk]:
    """Run two ingesters of two slots each, and a source of forty pages that takes a moment for each."""
    made = IngestionAtRisk(records=RECORDS)
    try:
        yield made.start()
    finally:
        made.close()


def change_much(source: Source) -> None:
    """Change, remove and add records, and have some turn bad or come twice."""
    for number in range(0, RECORDS, 7):
        source.put(f"t-{number:06d}", text=f"It has come, {number}.", status="closed")
    for number in range(3, RECORDS, 50):
        source.remove(f"t-{number:06d}")
    for number in range(60):
        source.put(f"t-new-{number}", text="A new one.")


def test_a_run_killed_five_times_ends_equal_to_an_undisturbed_one(at_risk: IngestionAtRisk) -> None:
    undisturbed, disturbed = at_risk.tenant(), at_risk.tenant()
    for one in (undisturbed, disturbed):
        at_risk.start_run(one)
    at_risk.fleet.settle()
    change_much(at_risk.source)
    at_risk.start_run(undisturbed)
    at_risk.ended(undisturbed)
    at_risk.delay_s = 0.15  # pages that change nothing are written twice a second

    at_risk.start_run(disturbed)
    for _ in range(5):
        at_risk.under_way(disturbed)
        with at_risk.fault():
            at_risk.fleet.kill(at_risk.holder(disturbed))
    recovery_s = at_risk.recovery_s()
    ended = at_risk.ended(disturbed)

    assert ended.losses == 0
    assert ended.attempt == 0
    assert told(disturbed) == told(undisturbed)
    at_risk.check("kill -9 of an ingester, five times in one full run", [undisturbed, disturbed], recovery_s)


def test_a_worker_frozen_past_lease_and_lock_writes_nothing_after(at_risk: IngestionAtRisk) -> None:
    of = at_risk.tenant()
    at_risk.delay_s = 0.05
    at_risk.start_run(of)
    at_risk.under_way(of)
    frozen = at_risk.holder(of)
    with at_risk.fault():
        at_risk.fleet.freeze(frozen)
        until(lambda: at_risk.holder(of) != frozen, "another worker to go on", 30, at_risk.report)
        at_risk.under_way(of)
        at_risk.fleet.thaw(frozen)

    ended = at_risk.ended(of)

    assert at_risk.services.jobs.get(of.org_id, ended.id).claims >= 2
    assert (ended.result["new"], ended.result["read"]) == (RECORDS, RECORDS)
    assert any(frozen in line and "lock.lost" in line for line in at_risk.fleet.lines)
    at_risk.check("an ingester frozen past lease and lock, then awake", [of])


def disturb(at_risk: IngestionAtRisk, of: Tenant, what: str) -> None:
    """Do one thing to the run."""
    match what:
        case "Redis emptied":
            at_risk.fleet.flush()
        case "Redis killed":
            at_risk.fleet.redis.kill()
            at_risk.fleet.redis.start()
        case "MongoDB killed":
            at_risk.fleet.mongo.kill()
            at_risk.fleet.mongo.start()
        case "the source cut off":
            with cut_off(at_risk):
                at_risk.fleet.pass_by(3)
        case "the source throttles":
            answers = [Answer(429, b"", {"Retry-After": "1"}), Answer(503, b"", {"Retry-After": "2"})]
            usual = at_risk.source.interfere
            at_risk.source.interfere = lambda call, number: answers.pop() if answers else usual(call, number)
            until(lambda: not answers, "the answers to be given", 20, at_risk.report)
        case "a child killed":
            with suppress(psutil.Error):
                psutil.Process(at_risk.fleet.busiest_child(at_risk.holder(of))).send_signal(SIGKILL)


@contextmanager
def cut_off(at_risk: IngestionAtRisk) -> Iterator[None]:
    """Have the source close every connection without an answer while the block lasts."""
    usual = at_risk.source.interfere
    at_risk.source.interfere = lambda _call, _number: Answer(then=lambda _handler: None)
    yield
    at_risk.source.interfere = usual


FAULTS = (
    "Redis emptied",
    pytest.param("Redis killed", marks=pytest.mark.slow),
    pytest.param("MongoDB killed", marks=pytest.mark.slow),
    pytest.param("the source cut off", marks=pytest.mark.slow),
    pytest.param("the source throttles", marks=pytest.mark.slow),
    pytest.param("a child killed", marks=pytest.mark.slow),
)


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_while_the_source_changes(at_risk: IngestionAtRisk, what: str) -> None:
    of = at_risk.tenant()
    at_risk.start_run(of)
    at_risk.ended(of)
    at_risk.delay_s = 0.15  # pages that change nothing are written twice a second
    with at_risk.changing():
        at_risk.start_run(of)
        at_risk.under_way(of)
        with at_risk.fault():
            disturb(at_risk, of, what)
        recovery_s = at_risk.recovery_s()
        at_risk.ended(of)
        at_risk.start_run(of, "incremental")
        at_risk.ended(of)

    at_risk.delay_s = 0.0
    at_risk.start_run(of)
    at_risk.ended(of)

    at_risk.check(f"{what} during a full run of a source that changes", [of], recovery_s)


@pytest.mark.slow
def test_everything_at_once_while_sources_change(at_risk: IngestionAtRisk) -> None:
    tenants = [at_risk.tenant() for _ in range(3)]
    at_risk.delay_s = 0.02
    with at_risk.changing(every_s=0.1):
        for what in ("a child killed", "Redis emptied", "the source cut off", "MongoDB killed", "Redis killed"):
            for one in tenants:
                if not one.runs or at_risk.record(one).is_final:
                    at_risk.start_run(one)
            at_risk.fleet.pass_by(1.0)
            disturb(at_risk, tenants[0], what)
            at_risk.fleet.kill("ingester-1")
        at_risk.fleet.settle(180)

    at_risk.delay_s = 0.0
    for one in tenants:
        at_risk.start_run(one)
    at_risk.fleet.settle()

    at_risk.check("workers, Redis, MongoDB and source fail in turn, three organizations", tenants)


def test_twenty_sources_that_wait_hold_no_worker() -> None:
    """On two slots: a run of a source elsewhere begins and ends while they wait for the limit of their host."""
    at_risk = IngestionAtRisk(ingesters=["ingester-1"], per_minute=20, records=30 * PAGE)
    with Source(2 * PAGE).serving() as elsewhere:
        try:
            at_risk.start(elsewhere.host)
            waiting = [at_risk.tenant() for _ in range(20)]
            for one in waiting:
                at_risk.start_run(one, ends=("cancelled",))
            until(lambda: all(_waits(at_risk, one) for one in waiting), "all to wait", 30, at_risk.report)
            free = at_risk.tenant(source=elsewhere)

            at_risk.start_run(free)
            at_risk.ended(free, within_s=5)

            left = [at_risk.record(one) for one in waiting]
            assert not [one for one in left if one.is_final]
            assert {one.attempt for one in left} == {0}
            for one in waiting:
                at_risk.services.submitter.cancel(one.org_id, one.runs[-1])
            at_risk.check("twenty sources wait for one limit on two slots", [free])
        finally:
            at_risk.close()


def _waits(at_risk: IngestionAtRisk, of: Tenant) -> bool:
    record = at_risk.record(of)
    return record.state == "waiting" and record.waiting_for is not None


@pytest.mark.slow
def test_a_backfill_and_a_bad_credential_leave_another_tenant_its_share() -> None:
    """One host allows 10 calls a second: one asks for all it can get, one is refused, one has its share."""
    at_risk = IngestionAtRisk(per_minute=600)
    try:
        at_risk.start()
        for number in range(3_000):
            at_risk.source.put(f"t-{number:06d}", text="Fine.")
        spread_permits(at_risk, SlidingWindow(600, per_s=60))
        huge, normal = (at_risk.tenant(token=name, page=1) for name in ("huge", "normal"))
        bad = at_risk.tenant(token="bad")
        at_risk.source.interfere = lambda call, _: Answer(401, b"{}") if _token(call) == "bad" else None
        for one in (huge, normal):
            at_risk.start_run(one, ends=("cancelled",))
        for _ in range(10):
            at_risk.start_run(bad, ends=("failed",))
            at_risk.ended(bad)
        at_risk.fleet.pass_by(2)
        began = max(call.at for call in at_risk.calls())
        at_risk.fleet.pass_by(25)

        calls = Counter(_token(call) for call in at_risk.calls() if began < call.at <= began + 25)
        share = calls["normal"] / (25 * 600 / 60)
        print(f"calls in 25 s: {dict(calls)}; the normal one's share of the limit: {share:.2f}")
        for one in (huge, normal):
            at_risk.services.submitter.cancel(one.org_id, one.runs[-1])
        at_risk.fleet.settle()
        assert share >= 0.45
    finally:
        at_risk.close()


def _token(call: Call) -> str:
    return (call.header("authorization") or "").removeprefix("Bearer ")


def spread_permits(at_risk: IngestionAtRisk, limit: SlidingWindow) -> None:
    """Have the host's limit be used up evenly, as it is after a while, so that permits come back one by one."""
    client, limiter = at_risk.services.shared, at_risk.services.outside_limiter
    key = limiter._make_keys(at_risk.source.host, (limit,), None)[0]
    seconds, micros = client.time()
    per_us = round(limit.per_s * 1_000_000)
    began = seconds * 1_000_000 + micros - per_us
    given = [(began + number * per_us // limit.permits, number) for number in range(1, limit.permits + 1)]
    client.rpush(key, limit.permits, 0, 0, *(word for pair in given for word in pair))
    client.pexpire(key, round(1_200 * limit.per_s))


@pytest.mark.slow
def test_a_route_to_the_source_that_is_dead_for_seconds() -> None:
    """Connections stay and say nothing: a worker waits as long as a call may take, and keeps lease and lock."""
    at_risk = IngestionAtRisk(records=30 * PAGE)
    route = Proxy(at_risk.source.port)
    at_risk.source.seen_at = route.port
    try:
        at_risk.start()
        of = at_risk.tenant()
        at_risk.delay_s = 0.05
        at_risk.start_run(of)
        at_risk.under_way(of)
        route.cut()
        at_risk.fleet.pass_by(5)
        route.mend()

        ended = at_risk.ended(of, within_s=120)

        assert (ended.losses, ended.attempt, ended.result["new"]) == (0, 0, 30 * PAGE)
        at_risk.check("a dead route to the source for 5 s", [of])
    finally:
        at_risk.close()
        route.close()


@pytest.mark.slow
def test_a_run_that_loses_its_worker_each_time_is_failed_and_its_log_says_so(at_risk: IngestionAtRisk) -> None:
    """It never gets to write a page; the next run does."""
    of = at_risk.tenant()
    at_risk.delay_s = 60
    at_risk.start_run(of, ends=("failed",))
    with at_risk.fault():
        while not at_risk.record(of).is_final:
            with suppress(psutil.Error, AssertionError):
                at_risk.fleet.kill(at_risk.holder(of, within_s=5))
    failed = at_risk.record(of)
    log = at_risk.services.ingestion_logs.get(of.org_id, failed.id)

    assert (failed.state, failed.error["code"]) == ("failed", "worker-lost")
    assert log is not None
    assert (log.status, log.error["code"]) == ("failed", "worker-lost")
    at_risk.delay_s = 0.0
    at_risk.start_run(of)
    at_risk.ended(of)
    at_risk.check("a run that loses its worker each time, then another one", [of])


@pytest.mark.slow
def test_workers_that_roll_lose_nothing_and_charge_nothing(at_risk: IngestionAtRisk) -> None:
    of = at_risk.tenant()
    at_risk.delay_s = 0.3
    at_risk.start_run(of)
    for _ in range(4):
        at_risk.under_way(of)
        name = at_risk.holder(of)
        before = at_risk.fleet.supervisor.restarts_of(name)
        at_risk.fleet.terminate(name)
        at_risk.fleet.await_restart(name, before)
    at_risk.delay_s = 0.0

    ended = at_risk.ended(of)

    assert (ended.losses, ended.attempt, ended.result["new"]) == (0, 0, RECORDS)
    assert ended.claims > 1
    at_risk.check("SIGTERM of the ingester at work, four times", [of])
