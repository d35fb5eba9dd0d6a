"""A fleet of real processes on real servers, faults as one-line verbs, and one checker at the end."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from common.probe.marks import MARKS
from pymongo.errors import PyMongoError

from common.caller import Caller
from common.config import Settings
from common.ids import OrgId
from common.jobs.kind import Job
from common.jobs.record import JobRecord
from common.services import Services
from deploy.local.servers import Mongo, Redis
from deploy.local.supervisor import ROOT, Process, Supervisor
from tests.integration.conftest import caller_of, make_organization
from workers import runner

LEASE_S = 2.0
SETTLED_WITHIN_S = 60


@dataclass
class Fleet:
    """Workers and sweepers under the local stack's own supervisor, with servers that may be killed."""

    mongo: Mongo
    redis: Redis
    settings: Settings
    services: Services
    supervisor: Supervisor
    witness: Path
    org_id: OrgId
    caller: Caller
    lines: list[str] = field(default_factory=list)
    accepted: list[JobRecord] = field(default_factory=list)

    def submit(self, job: Job, times: int = 1) -> list[JobRecord]:
        """Accept *job* so many times."""
        made = [self.services.submit(self.caller, job) for _ in range(times)]
        self.accepted += made
        return made

    def records(self) -> list[JobRecord]:
        """Read every accepted job."""
        return [self.services.jobs.get(self.org_id, job.id) for job in self.accepted]

    def marks(self) -> int:
        """Count the effects that are in MongoDB."""
        return self.services.scope(self.org_id)[MARKS].count_documents()

    def child_at_work(self, worker: str) -> int:
        """Return a child process of *worker* that runs a handler."""
        held = self.services.control.jobs
        until(lambda: held.count_documents({"state": "running"}) > 0, "a running job")
        parent = self.supervisor.pid_of(worker)
        assert parent is not None
        children = psutil.Process(parent).children()
        return max(children, key=lambda child: sum(child.cpu_times()[:2])).pid

    def settle(self, within_s: float = SETTLED_WITHIN_S) -> None:
        """Return when every accepted job has ended."""

        def ended() -> bool:
            try:
                return all(record.is_final for record in self.records())
            except PyMongoError:
                return False

        until(ended, "every accepted job to end", within_s, self.report)

    def check(self, *, steps: int) -> None:
        """Check the invariants: all succeeded, every effect once, and no claim wrote after a later one."""
        assert [record.state for record in self.records()] == ["succeeded"] * len(self.accepted)
        found = defaultdict(set)
        for mark in self.services.scope(self.org_id)[MARKS].find():
            found[mark["job_id"]].add(mark["step"])
        assert dict(found) == {job.id: set(range(steps)) for job in self.accepted}
        self.check_witness()
        until(lambda: self.services.lanes.look("tickets").waiting == 0, "empty lanes", 20)

    def check_witness(self) -> None:
        """Check what was written outside the system: no effect twice, and claims only rise."""
        seen, claims = set(), defaultdict(int)
        for line in self.witness.read_text(encoding="utf-8").splitlines():
            job_id, claim, what = line.split(" ", 2)
            assert int(claim) >= claims[job_id] or what == "start", line
            claims[job_id] = max(claims[job_id], int(claim))
            if what.startswith("mark"):
                assert (job_id, what) not in seen, line
                seen.add((job_id, what))

    def report(self) -> str:
        """Say what is not over, and the last lines of every process."""
        try:
            left = [
                f"{one.id} {one.state} {one.waiting_for} {one.error}" for one in self.records() if not one.is_final
            ]
        except PyMongoError as error:
            left = [repr(error)]
        return "\n".join([*left[:10], *self.lines[-60:]])


def until(
    reached: Callable[[], bool], what: str, within_s: float = 30, report: Callable[[], str] = lambda: ""
) -> None:
    """Poll until *reached*; fail, naming *what* was waited for."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}\n{report()}"
        time.sleep(0.03)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Run two workers with two slots each and two sweepers, with short leases."""
    runner.discover()
    folder = Path(tempfile.mkdtemp(prefix="fairway-faults-"))
    mongo, redis = Mongo(folder), Redis(folder)
    mongo.start()
    redis.start()
    made = _fleet(folder, mongo, redis)
    try:
        until(lambda: made.services.lanes.look("tickets").slots == 4, "two workers", 30, made.report)
        yield made
    finally:
        made.supervisor.stop()
        made.services.close()
        redis.stop()
        mongo.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _fleet(folder: Path, mongo: Mongo, redis: Redis) -> Fleet:
    values = {
        "MONGO_URL": mongo.url,
        "BROKER_URL": redis.url(0),
        "REDIS_URL": redis.url(1),
        "DATA_DIR": str(folder / "data"),
        "LEASE_S": str(LEASE_S),
        "SWEEP_S": "0.3",
        "LINGER_S": "0.5",
        "GRACE_S": "5",
        "METRICS_PORT": "0",
    }
    settings = Settings(**{name.lower(): value for name, value in values.items()})
    services = Services(settings)
    services.prepare()
    lines: list[str] = []
    supervisor = Supervisor(lambda name, line: lines.append(f"{name} | {line}"), grace_s=10)
    witness = folder / "witness"
    witness.touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "COV"))},
        **{f"FAIRWAY_{name}": value for name, value in values.items()},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "kinds")]),
        "PROBE_WITNESS": str(witness),
    }
    for number in (1, 2):
        supervisor.start(Process(f"worker-{number}", worker_command(number), environment))
        supervisor.start(
            Process(f"sweeper-{number}", (sys.executable, "-m", "workers.sweeper"), environment, rank=1)
        )
    org_id = make_organization(services)
    return Fleet(mongo, redis, settings, services, supervisor, witness, org_id, caller_of(org_id), lines)


def worker_command(number: int) -> tuple[str, ...]:
    """Return the command of a worker for the tickets' queue."""
    options = (
        "-Q",
        "fairway.tickets",
        "-c",
        "2",
        "-n",
        f"w{number}@%h",
        "-E",
        "--without-mingle",
        "--without-gossip",
    )
    return (sys.executable, "-m", "celery", "-q", "-A", "workers.app", "worker", *options)


SIGKILL, SIGSTOP, SIGCONT, SIGTERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM
