"""The sweep: what deaths and losses leave behind is put right from MongoDB alone."""

import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from common.probe.be_quick import BeQuick
from pymongo.errors import PyMongoError

from common.caller import Caller
from common.config import Settings
from common.errors import Unavailable
from common.ids import JobId
from common.jobs.members import Member
from common.jobs.sweep import Leadership, Sweep
from common.services import Services
from tests.integration.conftest import Slot


@pytest.fixture
def sweep(services: Services) -> Sweep:
    return services.sweep()


def member(caller: Caller, job_id: JobId) -> Member:
    return Member(caller.org_id, job_id, "probe.be_quick")


def end_lease(services: Services, job_id: JobId) -> None:
    past = services.clock.now() - timedelta(seconds=60)
    services.control.jobs.update_one({"_id": job_id}, {"$set": {"lease.expires_at": past}})


def test_everything_waiting_is_admitted_after_redis_lost_everything(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    sweep.once()
    jobs = [services.submit(caller, BeQuick()).id for _ in range(30)]
    services.broker.flushdb()

    assert sweep.once().rebuilt == 30

    assert [slot.step().id for _ in jobs] == jobs
    assert sweep.once().rebuilt == 0


def test_a_stale_redis_is_noticed_and_rebuilt(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    sweep.once()
    old = {key: services.broker.dump(key) for key in services.broker.keys("fairway:*")}
    job = services.submit(caller, BeQuick())
    sweep.once()
    services.broker.flushdb()
    for key, value in old.items():
        services.broker.restore(key, 0, value)

    assert sweep.once().rebuilt == 1

    assert slot.step().id == job.id


def test_a_job_that_redis_never_heard_of_is_admitted(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    sweep.once()
    job = services.submit(caller, BeQuick())
    services.lanes.forget("tickets", [member(caller, job.id)])  # as if the API had died between its two writes

    assert sweep.once().admitted == 1

    assert slot.step().id == job.id


def test_what_redis_knows_is_not_admitted_twice(services: Services, caller: Caller, sweep: Sweep) -> None:
    sweep.once()
    services.submit(caller, BeQuick())
    services.submit(caller, BeQuick(), run_at=services.clock.now() + timedelta(hours=1))

    assert sweep.once().admitted == 0


def test_a_lease_that_ran_out_is_charged_once_and_the_job_runs_again(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    sweep.once()
    job = services.submit(caller, BeQuick())
    first = slot.claim(slot.take())
    assert first is not None
    end_lease(services, job.id)

    assert sweep.once().returned == 1
    assert sweep.once().returned == 0

    returned = services.jobs.get(caller.org_id, job.id)
    assert (returned.state, returned.losses, returned.attempt) == ("queued", 1, 0)
    assert not services.jobs.succeed(first, None)
    services.lanes.forget("tickets", [member(caller, job.id)])
    services.lanes.admit("tickets", [(member(caller, job.id), 5)])
    assert slot.step().state == "succeeded"


def test_a_lease_that_holds_is_left_alone(services: Services, caller: Caller, sweep: Sweep, slot: Slot) -> None:
    sweep.once()
    services.submit(caller, BeQuick())
    slot.claim(slot.take())

    assert sweep.once().returned == 0


def test_a_job_that_kills_its_workers_fails_after_a_few_losses_and_says_why(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    job = services.submit(caller, BeQuick())
    for _ in range(4):
        assert slot.claim(member(caller, job.id)) is not None
        end_lease(services, job.id)
        sweep.once()

    failed = services.jobs.get(caller.org_id, job.id)
    assert (failed.state, failed.losses, failed.error["code"]) == ("failed", 4, "worker-lost")


def test_only_one_sweeper_leads_and_the_other_takes_over(services: Services) -> None:
    one, other = (Leadership(services.control, ttl_s=30) for _ in range(2))

    assert one.hold()
    assert not other.hold()
    assert one.hold()
    one.release()
    assert other.hold()


def test_a_leader_that_died_is_followed_when_its_lease_is_over(services: Services) -> None:
    dead, other = (Leadership(services.control, ttl_s=0.3) for _ in range(2))
    assert dead.hold()

    deadline = time.monotonic() + 10
    while not other.hold():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_redis_the_sweep_says_so_but_returns_leases_first(
    services: Services, caller: Caller, slot: Slot, settings: Settings
) -> None:
    job = services.submit(caller, BeQuick())
    slot.claim(slot.take())
    end_lease(services, job.id)
    nowhere = Services(
        settings.model_copy(update={"broker_url": type(settings.broker_url)("redis://127.0.0.1:1/0")})
    )
    sweep = nowhere.sweep()

    with pytest.raises(Unavailable):
        sweep.once()

    assert services.jobs.get(caller.org_id, job.id).state == "queued"


def test_a_transaction_that_a_dead_process_left_open_locks_nobody_out(
    services: Services, settings: Settings, sweep: Sweep
) -> None:
    script = (
        "import sys; from common.tenancy.connection import connect\n"
        "client = connect(sys.argv[1], 'dying'); session = client.start_session(); session.start_transaction()\n"
        "leases = client[sys.argv[2]].leases\n"
        "leases.update_one({'_id': 'x'}, {'$set': {'n': 1}}, upsert=True, session=session)\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    arguments = (settings.mongo_url.get_secret_value(), settings.control_database)
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "open\n"
        process.kill()

    deadline = time.monotonic() + 20
    while services.control.abort_idle_transactions(0.2) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    services.control.leases.update_one({"_id": "x"}, {"$set": {"n": 2}}, upsert=True)
    assert services.control.leases.find_one({"_id": "x"})["n"] == 2
    sweep.once()


def test_a_record_that_a_dead_process_holds_locked_is_returned_soon(
    services: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    job = services.submit(caller, BeQuick())
    assert slot.claim(member(caller, job.id)) is not None
    end_lease(services, job.id)
    jobs = services.control.jobs
    deadline = time.monotonic() + 15  # the server itself would let the transaction live for thirty
    with jobs.database.client.start_session() as dead:
        dead.start_transaction()
        jobs.update_one({"_id": job.id}, {"$set": {"note": 1}}, session=dead)

        while services.jobs.get(caller.org_id, job.id).state != "queued":
            assert time.monotonic() < deadline
            with suppress(PyMongoError):
                sweep.once()
