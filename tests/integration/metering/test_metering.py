"""What is counted is kept once: many processes, answers that are lost, deaths at every step, Redis away."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from pymongo.errors import PyMongoError

from common.config import Settings
from common.errors import Unavailable
from common.ids import OrgId
from common.metering import kept
from common.metering.figures import DAY, HOUR, Metered, hour_of
from common.metering.meter import BUCKETS, MANY, Meter, bucket_of, counting
from common.metering.mover import HANDED_ON_WITHIN, Mover
from common.services import Services
from tests.integration.metering.conftest import ACME, AT, OTHER, Still, of_day


class Died(BaseException):
    """What ends a process where it stands."""


def test_sums_reach_the_day_and_the_hour(services: Services, meter: Meter, mover: Mover, still: Still) -> None:
    meter.add(ACME, "requests", 3)
    meter.add(OTHER, "rows", 500)
    still.forward(timedelta(seconds=1))
    meter.add(ACME, "requests")
    meter.flush()

    moved = mover.once()

    assert moved == {ACME, OTHER}
    assert of_day(services, ACME) == 4
    assert (of_day(services, OTHER), of_day(services, OTHER, "rows")) == (0, 500)
    assert kept.hour(services.control, [ACME, OTHER], AT) == {ACME: {"requests": 3}, OTHER: {"rows": 500}}
    assert kept.hour(services.control, [ACME], still.now()) == {ACME: {"requests": 1}}
    assert kept.moved_at(services.control) == still.now() - HANDED_ON_WITHIN
    assert mover.once() == set()


def test_a_range_of_hours_is_cut_from_its_days(
    services: Services, meter: Meter, mover: Mover, still: Still
) -> None:
    still.at = AT.replace(hour=0, minute=30)
    for _ in range(72):
        meter.add(ACME, "jobs")
        meter.add(OTHER, "jobs", 10)
        still.forward(HOUR)
    meter.flush()
    mover.once()
    begin = AT.replace(hour=0, minute=0, second=0)

    for start, end in ((0, 72), (0, 24), (5, 6), (23, 25), (24, 49), (10, 60), (71, 100), (-50, 3)):
        hours = max(0, min(72, end) - max(0, start))
        bounds = begin + start * HOUR, begin + end * HOUR
        days = kept.days_of(services.control, ACME, *bounds)
        everybody = kept.by_organization(services.control, *bounds, within_ms=5_000)
        assert sum(one.sums["jobs"] for one in days) == hours
        assert {one: sums["jobs"] for one, sums in everybody.items()} == {ACME: hours, OTHER: 10 * hours}


def test_many_threads_count_exactly(services: Services, meter: Meter, mover: Mover) -> None:
    org_ids = [OrgId(f"org {number}") for number in range(40)]
    meter.start()

    def count() -> None:
        for number in range(2_000):
            meter.add(org_ids[number % 40], "requests")
            meter.add(org_ids[number % 40], "run_us", number)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        mover.once()
    meter.close()
    mover.once()

    for index, org_id in enumerate(org_ids):
        assert of_day(services, org_id) == 8 * 50
        assert of_day(services, org_id, "run_us") == 8 * sum(range(index, 2_000, 40))


def test_a_thousand_counts_wait_for_no_second(
    services: Services, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.metering.meter.EVERY_S", 60.0)
    meter.start()

    for _ in range(MANY):
        meter.add(ACME, "requests")

    until(lambda: bool(services.shared.exists(counting(bucket_of(ACME)))))
    meter.close()
    field = Metered(ACME, hour_of(AT), "requests").field()
    assert services.shared.hget(counting(bucket_of(ACME)), field) == str(MANY).encode()


def count_until_killed(settings: Settings, counted: Any, flushed: Any) -> None:
    """Count, each count noted where it outlives this process, until that is killed."""
    services = Services(settings)
    send = services.meter._send

    def note_and_send(number: int, sums: Any) -> None:
        send(number, sums)
        flushed.value += sum(amount for _, amount in sums)

    services.meter._send = note_and_send  # type: ignore[method-assign]
    services.meter.start()
    while True:
        services.meter.add(ACME, "requests")
        counted.value += 1
        time.sleep(0.0005)


def test_processes_that_are_killed_lose_at_most_their_last_second(settings: Settings, services: Services) -> None:
    spawn = multiprocessing.get_context("spawn")
    counts = [(spawn.Value("q", 0), spawn.Value("q", 0)) for _ in range(3)]
    processes = [spawn.Process(target=count_until_killed, args=(settings, *both)) for both in counts]
    for one in processes:
        one.start()
    until(lambda: all(flushed.value > 200 for _, flushed in counts), 60)
    for one in processes:
        os.kill(one.pid or 0, signal.SIGKILL)
        one.join()
    mover = services.mover
    mover.once()

    kept_here = of_day(services, ACME, day=services.clock.now())
    counted = sum(one.value for one, _ in counts)
    handed_on = sum(flushed.value for _, flushed in counts)

    # A flush may have reached Redis before it was noted here; nothing else is kept beyond what was noted.
    assert handed_on <= kept_here <= counted
    assert counted - kept_here <= len(counts) * 2 * MANY


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_flush_whose_answer_is_lost_counts_once(
    services: Services, meter: Meter, mover: Mover, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    script = meter._script

    def lose(keys: Any, *arguments: Any) -> Any:
        if step == "after":
            script(keys, *arguments)
        raise Unavailable("The answer is lost.")

    meter.add(ACME, "requests", 5)
    monkeypatch.setattr(meter, "_script", lose)
    assert not meter.flush()
    meter.add(ACME, "requests", 2)
    assert not meter.flush()
    monkeypatch.undo()
    mover.once()
    assert meter.flush()
    mover.once()

    assert of_day(services, ACME) == 7


@pytest.mark.parametrize("step", ["taken", "before the commit", "after the commit", "forgotten"])
def test_a_mover_that_dies_anywhere_counts_once(
    services: Services, meter: Meter, still: Still, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: Any) -> None:
        raise Died

    def after(done: Callable[..., Any]) -> Callable[..., Any]:
        def do_and_die(*arguments: Any) -> None:
            done(*arguments)
            die()

        return do_and_die

    for number in range(50):
        meter.add(OrgId(f"org {number}"), "requests", number + 1)
    meter.flush()
    for _ in range(3):
        dying = Mover(services.control, services.shared, still)
        match step:
            case "taken":
                monkeypatch.setattr(dying, "_write", die)
            case "before the commit":
                monkeypatch.setattr(dying._control, "transaction", die)
            case "after the commit":
                monkeypatch.setattr(dying, "_forget", die)
            case "forgotten":
                monkeypatch.setattr(dying, "_forget", after(dying._forget))
        with pytest.raises(Died):
            dying.once()
        monkeypatch.undo()
        meter.add(OrgId("org 7"), "requests")
        meter.flush()

    Mover(services.control, services.shared, still).once()

    found = [of_day(services, OrgId(f"org {number}")) for number in range(50)]
    assert found == [number + 1 + 3 * (number == 7) for number in range(50)]
    assert not [key for key in services.shared.scan_iter("fairway:usage:*") if b":last:" not in key]


def test_two_movers_at_once_count_once(services: Services, meter: Meter, still: Still) -> None:
    movers = [Mover(services.control, services.shared, still) for _ in range(4)]
    for round_ in range(10):
        for number in range(60):
            meter.add(OrgId(f"org {number}"), "rows", round_ + 1)
        meter.flush()
        threads = [threading.Thread(target=one.once) for one in movers]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    movers[0].once()

    assert [of_day(services, OrgId(f"org {number}"), "rows") for number in range(60)] == [55] * 60


def test_a_mover_that_wakes_up_late_forgets_nothing_of_others(
    services: Services, meter: Meter, mover: Mover
) -> None:
    bucket = bucket_of(ACME)
    meter.add(ACME, "requests", 2)
    meter.flush()
    batch = mover._take(bucket)
    assert batch is not None
    mover.once()
    meter.add(ACME, "requests", 3)
    meter.flush()
    another = mover._take(bucket)

    mover._forget(bucket, batch)
    mover.once()

    assert another is not None
    assert of_day(services, ACME) == 5


def test_a_redis_that_is_as_it_was_a_second_ago_adds_nothing_twice(
    services: Services, meter: Meter, mover: Mover
) -> None:
    meter.add(ACME, "requests", 9)
    meter.flush()
    saved = services.shared.dump(counting(bucket_of(ACME)))
    mover.once()
    services.shared.restore(counting(bucket_of(ACME)), 0, saved)

    mover.once()

    assert of_day(services, ACME) == 9


def test_while_redis_is_away_counts_wait_here(services: Services, still: Still, mover: Mover) -> None:
    meter = Meter(redis.Redis(port=1, socket_connect_timeout=0.1), still)
    meter.start()
    began = time.perf_counter()
    for _ in range(20_000):
        meter.add(ACME, "requests")
    took_s = time.perf_counter() - began
    assert not meter.flush()

    meter._script = Meter(services.shared, still)._script
    meter.close()
    mover.once()

    assert took_s < 2
    assert of_day(services, ACME) == 20_000


def test_what_is_not_ours_in_a_bucket_hinders_nobody(services: Services, meter: Meter, mover: Mover) -> None:
    meter.add(ACME, "requests")
    meter.flush()
    bad = {"": 1, "acme": 2, "acme 1 money": 3, "acme x rows": 4, "acme 1 rows": "many", "a b -5 rows": 6}
    services.shared.hset(counting(bucket_of(ACME)), mapping=bad | {b"\xff 1 rows": 7})
    services.shared.set(counting((bucket_of(ACME) + 1) % BUCKETS), "a string")

    mover.once()

    assert of_day(services, ACME) == 1


def test_without_mongodb_nothing_is_lost(
    services: Services, meter: Meter, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise PyMongoError

    meter.add(ACME, "requests", 4)
    meter.flush()
    monkeypatch.setattr(mover._control, "transaction", away)
    with pytest.raises(PyMongoError):
        mover.once()
    monkeypatch.undo()

    mover.once()

    assert of_day(services, ACME) == 4


def test_a_sum_of_the_day_before_goes_to_that_day(services: Services, mover: Mover) -> None:
    still = Still(AT.replace(hour=23, minute=59, second=59))
    late = Meter(services.shared, still)
    late.add(ACME, "requests")
    still.forward(timedelta(seconds=2))
    late.add(ACME, "requests", 10)
    late.flush()
    mover.once()

    assert (of_day(services, ACME), of_day(services, ACME, day=AT + DAY)) == (1, 10)


def until(reached: Callable[[], bool], within_s: float = 10) -> None:
    """Poll until *reached*."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)
