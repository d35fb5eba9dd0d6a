"""The life of a job against a model: whatever the order of the steps, the record says what the model says.

Workers are never thrown away, so that those whose lease was lost go on trying to write and to finish.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from common.probe.leave_marks import LeaveMarks
from common.probe.marks import MARKS
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pymongo.read_concern import ReadConcern

from common.caller import Caller
from common.errors import Conflict, LeaseLost
from common.ids import JobId, OrgId
from common.jobs.leases import Claimed, Held
from common.jobs.members import Member
from common.jobs.problems import problem, problem_of_loss
from common.jobs.record import FINAL
from common.services import Services
from tests.integration.conftest import caller_of, make_organization
from workers.context import Context

PICK = st.floats(0, 1, exclude_max=True)
SOON, LATER = 0.0, 3600.0
JOBS_MAX = 3  # so that many workers meet at each of them


@dataclass
class Modelled:
    """What a job's record is to say."""

    state: str = "queued"
    run: int = 1
    claims: int = 0
    attempt: int = 0
    losses: int = 0
    cancel_requested: bool = False
    is_due: bool = False
    token: str | None = None
    fence: int = 0
    steps: int = 0


@dataclass
class Worker:
    """Who claimed a job once, and may hold it no longer."""

    claimed: Claimed
    ctx: Context
    next_step: int | None = None
    is_confirmed: bool = False


@dataclass
class World:
    """All jobs and all workers of one example."""

    jobs: dict[JobId, Modelled] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def unfinished(self) -> int:
        return sum(job.state not in FINAL for job in self.jobs.values())


class LifeOfJobs(RuleBasedStateMachine):
    """The steps, each tried at any time."""

    services: Services

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.store = self.services.jobs
        self.org_id: OrgId = make_organization(self.services)
        self.caller: Caller = caller_of(self.org_id)

    # What clients do.

    @precondition(lambda self: self.world.unfinished() < JOBS_MAX)
    @rule(delay_s=st.sampled_from([None, LATER]))
    def submit(self, delay_s: float | None) -> None:
        run_at = self.services.clock.now() + timedelta(seconds=delay_s) if delay_s else None
        record = self.services.submit(self.caller, LeaveMarks(), run_at=run_at)
        self.world.jobs[record.id] = Modelled("waiting" if delay_s else "queued")

    @precondition(lambda self: self.world.jobs)
    @rule(pick=PICK)
    def cancel(self, pick: float) -> None:
        job_id, job = self.job(pick)
        if job.state in FINAL:
            with pytest.raises(Conflict):
                self.store.cancel(self.org_id, job_id)
            return
        self.store.cancel(self.org_id, job_id)
        job.cancel_requested = True
        if job.state != "running":
            job.state = "cancelled"

    @precondition(lambda self: self.world.jobs)
    @rule(pick=PICK)
    def retry(self, pick: float) -> None:
        job_id, job = self.job(pick)
        if job.state not in {"failed", "cancelled"}:
            with pytest.raises(Conflict):
                self.store.retry(self.org_id, job_id)
            return
        self.store.retry(self.org_id, job_id)
        job.state, job.run, job.attempt, job.losses, job.cancel_requested = "queued", job.run + 1, 0, 0, False

    # What workers do.

    @precondition(lambda self: self.world.jobs)
    @rule(pick=PICK, resumes=st.booleans())
    def claim(self, pick: float, *, resumes: bool) -> None:
        job_id, job = self.job(pick)
        claimed = self.store.claim(Member(self.org_id, job_id, "probe.leave_marks"), "worker")
        assert (claimed is not None) == (job.state == "queued")
        if claimed is not None:
            job.state, job.claims, job.token = "running", job.claims + 1, claimed.token
            assert (claimed.claim, claimed.run) == (job.claims, job.run)
            self.world.workers.append(Worker(claimed, Context(self.services, claimed)))
            if resumes:
                self.resume_as(self.world.workers[-1])

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK)
    def resume(self, pick: float) -> None:
        self.resume_as(self.worker(pick)[0])

    def resume_as(self, worker: Worker) -> None:
        job = self.world.jobs[worker.claimed.job_id]
        if self.may_write(worker, job):
            checkpoint = worker.ctx.resume() or {"next": 0}
            worker.next_step = checkpoint["next"]
            worker.is_confirmed, job.fence = True, worker.claimed.claim
            assert worker.next_step == job.steps
        else:
            with pytest.raises(LeaseLost):
                worker.ctx.resume()

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK)
    def write(self, pick: float) -> None:
        worker, job = self.worker(pick)
        if worker.next_step is None:
            return  # a handler resumes before it writes
        step = worker.next_step
        mark = {"_id": f"{worker.claimed.job_id}:{step}:{worker.claimed.claim}", "job_id": worker.claimed.job_id}

        def write() -> None:
            worker.ctx.write(
                lambda scope: scope[MARKS].insert_one({**mark, "step": step}), checkpoint={"next": step + 1}
            )

        if self.may_write(worker, job):
            write()
            worker.next_step, job.steps, job.fence = step + 1, step + 1, worker.claimed.claim
        else:
            with pytest.raises(LeaseLost):
                write()

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK, ending=st.sampled_from(["succeeded", "failed", "failed uncharged", "cancelled"]))
    def finish(self, pick: float, ending: str) -> None:
        worker, job = self.worker(pick)
        shown, is_mine = self.problem(), job.token == worker.claimed.token
        match ending:
            case "succeeded":
                written = self.store.succeed(worker.claimed, {"price": "$1.50"})
            case "cancelled":
                written = self.store.finish_cancelled(worker.claimed)
            case _:
                written = self.store.fail(worker.claimed, shown, charged=ending == "failed")
        assert written == is_mine
        if is_mine:
            job.state, job.token = ending.split(maxsplit=1)[0], None
            job.attempt += ending == "failed"

    @precondition(lambda self: self.world.workers)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4))
    def succeed_together(self, picks: list[float]) -> None:
        chosen = [self.worker(pick)[0].claimed for pick in picks]
        ended = list({one.token: one for one in chosen}.values())
        mine = {one.token for one in ended if self.world.jobs[one.job_id].token == one.token}
        # Asked again, it says that they have: who got no answer to the first question asks once more.
        before = {one.token for one in ended if self.has_succeeded(one)}
        assert self.store.succeed_many([(one, None) for one in ended]) == mine | before
        for one in ended:
            if one.token in mine:
                self.world.jobs[one.job_id].state, self.world.jobs[one.job_id].token = "succeeded", None

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK, is_failure=st.booleans(), delay_s=st.sampled_from([SOON, LATER]))
    def put_aside(self, pick: float, *, is_failure: bool, delay_s: float) -> None:
        worker, job = self.worker(pick)
        shown, is_mine = self.problem() if is_failure else None, job.token == worker.claimed.token
        assert self.store.wait(worker.claimed, reason="retry", delay_s=delay_s, problem=shown) == is_mine
        if is_mine:
            job.state, job.token, job.is_due = "waiting", None, delay_s == SOON
            job.attempt += is_failure

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK)
    def give_back(self, pick: float) -> None:
        worker, job = self.worker(pick)
        is_mine = job.token == worker.claimed.token
        assert self.store.give_back(worker.claimed) == is_mine
        if is_mine:
            job.state, job.token = "queued", None

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK)
    def renew(self, pick: float) -> None:
        worker, job = self.worker(pick)
        held = Held(self.org_id, worker.claimed.job_id, worker.claimed.token)
        self.store.renew([held])
        news, is_mine = self.store.news([held]), job.token == worker.claimed.token
        assert (held.token in news.lost) == (not is_mine)
        assert (held.token in news.cancelled) == (is_mine and job.cancel_requested)

    # What healers do.

    @precondition(lambda self: self.world.jobs)
    @rule(pick=PICK)
    def a_lease_runs_out(self, pick: float) -> None:
        job_id, job = self.job(pick)
        past = {"$set": {"lease.expires_at": self.services.clock.now() - timedelta(seconds=60)}}
        self.services.control.jobs.update_one({"_id": job_id, "state": "running"}, past)
        for one in self.store.expired(100):
            if one.held.job_id != job_id:
                continue
            shown = problem_of_loss(one.kind, one.losses + 1, self.services.clock.now())
            assert self.store.charge_loss(one.held, problem=shown, expired_only=True)
            job.state, job.token, job.losses = "failed" if shown else "queued", None, job.losses + 1

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK, resumes=st.booleans())
    def a_frozen_worker_is_overtaken(self, pick: float, *, resumes: bool) -> None:
        """Its lease runs out, another claims the job and goes on; the frozen one may wake at any later step."""
        worker, job = self.worker(pick)
        jobs = list(self.world.jobs)
        place = (jobs.index(worker.claimed.job_id) + 0.5) / len(jobs)
        if job.token == worker.claimed.token:
            self.a_lease_runs_out(place)
            self.claim(place, resumes=resumes)

    @precondition(lambda self: self.world.jobs)
    @rule(pick=PICK)
    def wake(self, pick: float) -> None:
        job_id, job = self.job(pick)
        self.store.wake([Member(self.org_id, job_id, "probe.leave_marks")])
        if job.state == "waiting" and job.is_due:
            job.state, job.is_due = "queued", False

    # What is always so.

    @invariant()
    def every_record_says_what_the_model_says(self) -> None:
        as_it_is = self.services.control.jobs.with_options(read_concern=ReadConcern("local"))
        for document in as_it_is.find({"org_id": self.org_id}):
            job = self.world.jobs[document["_id"]]
            said = {name: document.get(name, False) for name in _COMPARED}
            assert said == {name: getattr(job, name) for name in _COMPARED}
            assert ("lease" in document) == (job.state == "running")
            assert ("expires_at" in document) == ("finished_at" in document) == (job.state in FINAL)
            assert ("waiting_for" in document) == (job.state == "waiting")

    @invariant()
    def every_effect_is_there_once(self) -> None:
        marks = self.services.scope(self.org_id)[MARKS].find()
        found = sorted((mark["job_id"], mark["step"]) for mark in marks)
        assert found == sorted(
            (job_id, step) for job_id, job in self.world.jobs.items() for step in range(job.steps)
        )

    def job(self, pick: float) -> tuple[JobId, Modelled]:
        jobs = list(self.world.jobs.items())
        return jobs[int(pick * len(jobs))]

    def worker(self, pick: float) -> tuple[Worker, Modelled]:
        """Choose a worker; every other time one that was overtaken by another on a job that runs."""
        late = [worker for worker in self.world.workers if self.was_overtaken(worker)]
        chosen = late if late and int(pick * 1_000) % 2 else self.world.workers
        worker = chosen[int(pick * len(chosen))]
        return worker, self.world.jobs[worker.claimed.job_id]

    def was_overtaken(self, worker: Worker) -> bool:
        job = self.world.jobs[worker.claimed.job_id]
        return job.state == "running" and job.token != worker.claimed.token

    def has_succeeded(self, claimed: Claimed) -> bool:
        job = self.world.jobs[claimed.job_id]
        return job.state == "succeeded" and job.claims == claimed.claim

    def may_write(self, worker: Worker, job: Modelled) -> bool:
        """Tell whether *worker* passes the fence: confirmed under the lease, and nobody later has written."""
        held = worker.is_confirmed or job.token == worker.claimed.token
        return held and worker.claimed.claim >= job.fence

    def problem(self) -> dict[str, Any]:
        return problem("test", "$state of $$ROOT", attempt=1, now=self.services.clock.now())


_COMPARED = ("state", "run", "claims", "attempt", "losses", "cancel_requested")


def check(services: Services, *, examples: int, derandomize: bool) -> None:
    """Run so many random lives."""
    machine = type("Life", (LifeOfJobs,), {"services": services})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=derandomize,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_life_is_as_the_model_says(services: Services) -> None:
    check(services, examples=80, derandomize=True)


@pytest.mark.slow
def test_many_lives_are_as_the_model_says(services: Services) -> None:
    check(services, examples=800, derandomize=False)
