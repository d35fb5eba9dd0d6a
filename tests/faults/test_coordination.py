"""Real workers behind a limit, a lock and a breaker: whoever waits holds no worker, and no fault breaks a law."""

import itertools
import os
from collections import defaultdict

import pytest
from common.probe.be_quick import BeQuick
from common.probe.call_outside import CallOutside
from common.probe.leave_marks import LeaveMarks

from common.jobs.record import JobRecord
from tests.faults.fleet import LEASE_S, SIGCONT, SIGSTOP, Fleet, until

LATE_AT_MOST_S = 0.1
HOST = "api.example"


def test_jobs_that_wait_for_a_limit_hold_no_worker(fleet: Fleet) -> None:
    permits, per_s = 5, 1.0
    waiting = fleet.submit(CallOutside(host=HOST, calls=3, permits=permits, per_s=per_s), 10)
    until(lambda: len(calls(fleet)) >= permits, "the first permits", report=fleet.report)

    quick = fleet.submit(BeQuick(), 30)
    until(lambda: all(one.is_final for one in reread(fleet, quick)), "the quick ones", report=fleet.report)
    left = [one for one in reread(fleet, waiting) if not one.is_final]
    reasons = {one.waiting_for["reason"] for one in left if one.waiting_for}

    fleet.settle()
    fleet.check()
    assert len(left) >= 5
    assert reasons == {"rate_limit"}
    assert {one.attempt for one in reread(fleet, waiting)} == {0}
    made = calls(fleet)
    assert len(made) == 30
    # The witness is written after the permit, some milliseconds later than another's.
    assert all(late - early > per_s - 0.25 for early, late in zip(made, made[permits:], strict=False))


def test_a_deferred_job_is_offered_in_time(fleet: Fleet) -> None:
    wait_s = 0.4
    for _ in range(8):  # as many at a time as there are slots: one is free whenever a job is due
        fleet.submit(LeaveMarks(trouble="defer", defer_s=wait_s), 4)
        fleet.settle()
    fleet.check()

    starts = defaultdict(list)
    for line in fleet.witness.lines():
        if line.what == "start":
            starts[line.job_id].append(line.at)
    # From the handler's own first line to its next: two ends and a claim are in it besides.
    late = sorted(second - first - wait_s for first, second in starts.values())
    print(f"offered late, in ms: {[round(1000 * one) for one in late]}")
    assert late[0] > -0.01
    # On a machine that does other things too, some are late; a poll each second would leave one of ten in time.
    assert late[len(late) // 2] <= LATE_AT_MOST_S, late


def test_a_frozen_holder_of_a_lock_writes_nothing(fleet: Fleet) -> None:
    job = CallOutside(host=HOST, calls=8, permits=1000, lock="source", ttl_s=0.4, pause_s=0.1)
    (first,) = fleet.submit(job)
    until(lambda: fleet.marks() >= 2, "the first marks", report=fleet.report)
    holder = holder_of(fleet, first)
    with fleet.fault("holder of a lock frozen past its TTL"):
        os.kill(holder, SIGSTOP)
        marks = fleet.marks()
        (second,) = fleet.submit(CallOutside(host=HOST, permits=1000, lock="source"))
        until(lambda: reread(fleet, [second])[0].is_final, "the next holder", LEASE_S, report=fleet.report)
        os.kill(holder, SIGCONT)  # before its lease is over: only the lock's fence is in its way

    fleet.settle()
    fleet.check()
    frozen = reread(fleet, [first])[0]
    assert fleet.marks() == 8 + 1
    assert marks >= 2
    assert (frozen.losses, [error["code"] for error in frozen.errors]) == (0, ["lock-lost"])


@pytest.mark.slow
def test_waiting_for_a_lock_costs_no_attempt(fleet: Fleet) -> None:
    jobs = fleet.submit(CallOutside(host=HOST, calls=2, permits=1000, lock="source", pause_s=0.05), 12)

    fleet.settle()
    fleet.check()
    assert {one.attempt for one in reread(fleet, jobs)} == {0}
    spans = sorted(spans_of(fleet).values())
    assert all(ended <= begun + 0.02 for (_, ended), (begun, _) in itertools.pairwise(spans))


@pytest.mark.slow
def test_retry_after_holds_back_one_credential(fleet: Fleet) -> None:
    told = fleet.submit(CallOutside(host=HOST, credential="bad", answer="429", per_s=2.0, permits=100))
    until(lambda: len(calls(fleet)) == 1, "the 429", report=fleet.report)
    others = fleet.submit(CallOutside(host=HOST, credential="good", per_s=2.0, permits=100), 3)

    until(lambda: all(one.is_final for one in reread(fleet, others)), "the others", report=fleet.report)
    held = reread(fleet, told)[0]
    assert (held.state, (held.waiting_for or {}).get("reason")) == ("waiting", "retry_after")
    fleet.settle()
    fleet.check()
    times = sorted(line.at for line in fleet.witness.lines() if line.job_id == told[0].id and "call" in line.what)
    assert times[1] - times[0] >= 2.0


@pytest.mark.slow
def test_an_ill_host_is_left_alone(fleet: Fleet) -> None:
    jobs = fleet.submit(
        CallOutside(host="ill.example", answer="ill", permits=1000), 12, ends=("failed", "succeeded")
    )
    until(
        lambda: any((one.waiting_for or {}).get("reason") == "circuit_open" for one in reread(fleet, jobs)),
        "the breaker to open",
        report=fleet.report,
    )
    others = fleet.submit(CallOutside(host=HOST), 3)
    until(lambda: all(one.is_final for one in reread(fleet, others)), "the others", report=fleet.report)

    ill = [line for line in fleet.witness.lines() if "ill.example" in line.what]
    assert 5 <= len(ill) <= 5 + 2 * 2 * 2  # what was under way in two workers of two slots, once remembered
    for job in jobs:
        fleet.services.submitter.cancel(job.org_id, job.id)
        fleet.accepted[job.id] = fleet.accepted[job.id].__class__(job.org_id, job.id, 0, frozenset({"cancelled"}))
    fleet.settle()


@pytest.mark.parametrize(
    "loss",
    [
        "flushed",
        pytest.param("killed", marks=pytest.mark.slow),
        pytest.param("put back", marks=pytest.mark.slow),
        pytest.param("frozen", marks=pytest.mark.slow),
    ],
)
def test_limits_and_locks_over_a_loss_of_redis(fleet: Fleet, loss: str) -> None:
    limited = CallOutside(host=HOST, calls=4, permits=20, per_s=1.0)
    locked = CallOutside(host="other", calls=4, permits=1000, lock="source", ttl_s=1.0, pause_s=0.02)
    for org_id in fleet.org_ids:
        fleet.submit(limited, 6, org_id=org_id)
        fleet.submit(locked, 3, org_id=org_id)
    fleet.under_way(4)
    snapshot = fleet.take_snapshot()
    fleet.under_way(4)

    with fleet.fault(f"Redis {loss} under limits and locks"):
        match loss:
            case "flushed":
                fleet.flush()
            case "killed":
                fleet.redis.kill()
                fleet.redis.start()
            case "put back":
                fleet.restore_snapshot(snapshot)
            case "frozen":
                fleet.redis.freeze()
                fleet.pass_by(LEASE_S + 2)
                fleet.redis.thaw()

    fleet.settle()
    fleet.check()


def calls(fleet: Fleet) -> list[float]:
    """Return the instants of the calls to the host, in order."""
    return sorted(line.at for line in fleet.witness.lines() if line.what.startswith(f"call {HOST}"))


def reread(fleet: Fleet, jobs: list[JobRecord]) -> list[JobRecord]:
    """Return the jobs as they are now."""
    return [fleet.services.jobs.get(job.org_id, job.id) for job in jobs]


def spans_of(fleet: Fleet) -> dict[str, tuple[float, float]]:
    """Return when each job called first, and when it marked last."""
    spans: dict[str, tuple[float, float]] = {}
    for line in fleet.witness.lines():
        begun, _ = spans.get(line.job_id, (line.at, line.at))
        spans[line.job_id] = (begun, line.at)
    return spans


def holder_of(fleet: Fleet, job: JobRecord) -> int:
    """Return the process that called last for *job*."""
    return int([line.what for line in fleet.witness.lines() if line.job_id == job.id][-1].rsplit(" ", 1)[1])
