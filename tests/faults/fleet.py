"""The real stack with short leases, and what can be done to it: every fault is one verb."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from common.probe.call_outside import CallOutside
from common.probe.have_children import HaveChildren
from common.probe.leave_marks import LeaveMarks, LeaveRareMarks
from pydantic import SecretStr
from pymongo.errors import PyMongoError

from common.config import Settings
from common.ids import JobId, OrgId
from common.jobs.kind import KINDS, Job, decode
from common.jobs.record import FINAL, JobRecord
from common.services import Services
from deploy.local import supervisor as supervision
from deploy.local.servers import Mongo, Redis, free_port
from deploy.local.supervisor import ROOT, Process, Supervisor
from tests.faults.checker import Accepted, Checker, Row
from tests.faults.proxy import Proxy
from tests.faults.witness import Witness
from tests.integration.conftest import caller_of, make_organization
from workers import runner

LEASE_S = 2.0
SWEEP_S = 0.3
RECOVERY_S = LEASE_S + SWEEP_S + 5
"""What is promised: by then each job that a fault hit goes on."""
SETTLED_WITHIN_S = 60
LINES_SHOWN = 80
WORK = LeaveMarks(steps=4, pause_s=0.05)
LATER = LeaveMarks(steps=4, trouble="defer", defer_s=1.0, times=2)
QUEUE = "tickets"

SIGKILL, SIGSTOP, SIGCONT, SIGTERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM


class Fleet:
    """Workers and sweepers under the local stack's own supervisor; they reach the servers over proxies.

    *mongo_url* names a MongoDB that somebody else runs; *given* are further settings of every process, and
    *environment* what else it finds there.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        sweepers: int = 2,
        slots: int = 2,
        durable: bool = False,
        mongo_url: str | None = None,
        mongo_folder: Path | None = None,
        redis: Redis | None = None,
        given: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        runner.discover()
        self._open = ExitStack()
        self.folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="fairway-faults-")))
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.lines: list[str] = []
        self.accepted: dict[JobId, Accepted] = {}
        self.workers = tuple(f"worker-{number}" for number in range(1, workers + 1))
        self.sweepers = tuple(f"sweeper-{number}" for number in range(1, sweepers + 1))
        self._slots = slots
        self._redis, self._durable = redis, durable
        self._mongo_url, self._mongo_folder = mongo_url, mongo_folder or self.folder
        self._given, self._environment = given or {}, environment or {}
        self._fault = ""
        self._hit: frozenset[JobId] = frozenset()
        self._back_at = 0.0
        self._first: Callable[[], str] = str

    def start(self) -> "Fleet":
        """Start the servers and every process; return when all slots are alive."""
        self._start_servers()
        self.witness = Witness(self.folder / "witness")
        self.services = Services(self.settings)
        self._open.callback(self.services.close)
        self.services.prepare()
        self.org_ids = [make_organization(self.services, f"Org {number}") for number in range(3)]
        self.org_id = self.org_ids[0]
        files = (self.folder / "data", self.temporary)
        self.checker = Checker(self._direct_services(), self.witness, *files)
        self.supervisor = Supervisor(self._hear, grace_s=10)
        self._open.callback(self.supervisor.stop)
        supervision.BACK_OFF_MOST_S = 1.0
        for name in (*self.workers, *self.sweepers):
            self.run(name)
        self.await_slots(len(self.workers) * self._slots)
        return self

    def run(self, name: str, *, tree: Path = ROOT, kinds: Path = ROOT / "tests" / "kinds") -> None:
        """Start the process *name* from the sources in *tree*, with the further *kinds*."""
        environment = {**self.environment, "PYTHONPATH": os.pathsep.join(map(str, (tree, kinds)))}
        command = ("env", "--chdir", str(tree), *command_of(name, self._slots))
        self.supervisor.start(Process(name, command, environment))

    def close(self) -> None:
        """Stop everything and leave nothing."""
        self._open.close()

    # Work.

    def submit(
        self,
        job: Job,
        times: int = 1,
        *,
        org_id: OrgId | None = None,
        ends: tuple[str, ...] = ("succeeded",),
        **options: Any,
    ) -> list[JobRecord]:
        """Accept *job* so many times; each is to end in one of the states *ends*."""
        caller = caller_of(org_id or self.org_id)
        made = [self.services.submit(caller, job, **options) for _ in range(times)]
        for record in made:
            self.expect(record, job, ends)
        return made

    def cannot_submit(self, job: Job) -> bool:
        """Try to submit *job*; tell whether that failed. If it did not, the job counts."""
        try:
            self.submit(job)
        except PyMongoError:
            return True
        return False

    def expect(self, record: JobRecord, job: Job, ends: tuple[str, ...] = ("succeeded",)) -> None:
        """Count *record* among the accepted."""
        self.accepted[record.id] = Accepted(record.org_id, record.id, effects_of(job), frozenset(ends))

    def expect_children(self) -> None:
        """Count every child that a job made among the accepted."""
        for record in self.checker.children():
            self.expect(record, decode(KINDS[record.kind], record.payload), tuple(FINAL))

    def records(self) -> list[JobRecord]:
        """Read every accepted job."""
        return self.checker.records(self.accepted.values())

    def marks(self) -> int:
        """Count the effects that are in MongoDB."""
        return self.checker.marks()

    def load(self) -> None:
        """Submit work that waits, runs and defers, and return when it is under way."""
        self.submit(WORK, 30)
        self.submit(LATER, 10)
        self.under_way()

    def pass_by(self, seconds: float) -> None:
        """Let *seconds* pass while a fault lasts; the jobs go on, or don't."""
        ends_at = time.monotonic() + seconds
        until(lambda: time.monotonic() > ends_at, "time to pass", seconds + 1, self.report)

    def under_way(self, more: int = 10) -> None:
        """Return when *more* effects have come."""
        before = self.marks()
        until(lambda: self.marks() >= before + more, "work under way", report=self.report)

    # Faults on processes.

    def kill(self, name: str) -> None:
        """Kill a process with all of its children; the supervisor starts it again."""
        self.supervisor.kill(name, SIGKILL)

    def kill_parent(self, name: str) -> None:
        """Kill the parent process of *name* alone."""
        pid = self.supervisor.pid_of(name)
        if pid is not None:
            os.kill(pid, SIGKILL)

    def freeze(self, name: str) -> None:
        """Stop a process and its children, as a paused machine does."""
        self.supervisor.kill(name, SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self.supervisor.kill(name, SIGCONT)

    def terminate(self, name: str) -> None:
        """Ask a process to stop, as a roll does."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(name), SIGTERM)

    def pid(self, name: str) -> int:
        """Return the process id of *name*."""
        until(lambda: self.supervisor.pid_of(name) is not None, f"{name} to run", report=self.report)
        return self.supervisor.pid_of(name) or 0

    def child_at_work(self, worker: str) -> int:
        """Return the child of *worker* that holds a running job, or the busiest one."""
        until(lambda: self.checker.running() > 0, "a running job", report=self.report)
        return self.busiest_child(worker)

    def busiest_child(self, worker: str) -> int:
        """Return the child of *worker* that has worked most. Raises `psutil.Error` if there is none now."""
        children = psutil.Process(self.supervisor.pid_of(worker) or 0).children()
        busiest = max(children, key=lambda child: sum(child.cpu_times()[:2]), default=None)
        if busiest is None:
            raise psutil.NoSuchProcess(0)
        return busiest.pid

    def await_restart(self, name: str, before: int) -> None:
        """Return when *name* was started more often than *before*."""
        until(lambda: self.supervisor.restarts_of(name) > before, f"a restart of {name}", 40, self.report)

    def await_slots(self, count: int) -> None:
        """Return when so many slots are alive."""
        until(lambda: self.checker.slots(QUEUE) >= count, f"{count} slots", 40, self.report)

    # Faults on servers and the network.

    def flush(self) -> None:
        """Remove everything from Redis."""
        self.raw_redis().flushall()

    def fill_redis(self) -> None:
        """Leave Redis no byte for one more key; `relieve_redis` ends it."""
        self.raw_redis().config_set("maxmemory", 1)

    def relieve_redis(self) -> None:
        """Give Redis its memory back."""
        self.raw_redis().config_set("maxmemory", 0)

    def redis_refuses(self) -> bool:
        """Tell whether Redis refuses a write."""
        try:
            self.raw_redis().set("fault:probe", 1, px=1)
        except redis.ResponseError:
            return True
        return False

    def take_snapshot(self) -> dict[bytes, bytes]:
        """Copy what is in Redis now."""
        client = self.raw_redis()
        return {key: value for key in client.keys("*") if (value := client.dump(key)) is not None}

    def restore_snapshot(self, snapshot: Mapping[bytes, bytes]) -> None:
        """Put Redis back to what it was then; at once, as a server that was restarted from a snapshot is."""
        with self.raw_redis().pipeline(transaction=True) as pipe:
            pipe.flushall()
            for key, value in snapshot.items():
                pipe.restore(key, 0, value)
            pipe.execute()

    def raw_redis(self) -> "redis.Redis":
        """Return a client that goes around the proxy."""
        client = redis.Redis(port=self.redis.port, socket_timeout=10)
        self._open.callback(client.close)
        return client

    # What came of it.

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Do a fault, for the table; what it hits goes on within `RECOVERY_S` of its end."""
        hit = self.checker.running_ids()
        yield
        self._fault, self._hit, self._back_at = name, hit, time.monotonic()

    def settle(self, within_s: float = SETTLED_WITHIN_S) -> None:
        """Return when every accepted job has ended."""
        until(self._has_settled, "every accepted job to end", within_s, self.report)

    def settle_all(self, within_s: float = SETTLED_WITHIN_S) -> None:
        """Return when every job has ended, also those that other jobs made."""
        until(lambda: self.checker.unfinished() == 0, "every child to end", within_s, self.report)

    def check(self) -> Row:
        """Check every invariant; return the fault's row. Raises `AssertionError` with what is broken."""
        row = self.checker.check(
            self.accepted.values(), fault=self._fault, hit=self._hit, back_at=self._back_at, report=self.report
        )
        assert row.recovery_s is None or row.recovery_s <= RECOVERY_S, f"{row}\n{self.report()}"
        ROWS.append(row)
        return row

    def report(self) -> str:
        """Say what is not over, and the last lines of every process."""
        try:
            left = [f"{one.id} {one.state} {one.waiting_for} {one.error}" for one in self.records()]
            left = [line for line in left if line.split()[1] not in {"succeeded", "failed", "cancelled"}]
        except PyMongoError as error:
            left = [repr(error)]
        return "\n".join([self._first(), *left[:10], *self.lines[-LINES_SHOWN:]])

    def report_first(self, say: Callable[[], str]) -> None:
        """Begin each report with what *say* says."""
        self._first = say

    def _has_settled(self) -> bool:
        try:
            return all(record.is_final for record in self.records())
        except PyMongoError:
            return False

    def _hear(self, name: str, line: str) -> None:
        self.lines.append(f"{time.monotonic():.2f} {name} | {line}")

    def _start_servers(self) -> None:
        self.redis = self._redis or Redis(self.folder, durable=self._durable)
        self.redis.start()
        self._open.callback(self.redis.stop)
        self.to_redis = self._proxy(self.redis.port)
        if self._mongo_url is None:
            port = free_port()
            self.to_mongo = self._proxy(port)
            self.mongo = Mongo(self._mongo_folder, port, seen_at=self.to_mongo.port)
            self.mongo.start()
            self._open.callback(self.mongo.stop)
        values = {
            "MONGO_URL": self._mongo_url or self.mongo.url,
            "BROKER_URL": f"redis://127.0.0.1:{self.to_redis.port}/0",
            "REDIS_URL": f"redis://127.0.0.1:{self.to_redis.port}/1",
            "DATA_DIR": str(self.folder / "data"),
            "LEASE_S": str(LEASE_S),
            "SWEEP_S": str(SWEEP_S),
            "LINGER_S": "0.5",
            "GRACE_S": "5",
            "METRICS_PORT": "0",
            "RATE_LIMITS": "off",
            **self._given,
        }
        self.settings = Settings(**{name.lower(): value for name, value in values.items()})
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "COV"))},
            **{f"FAIRWAY_{name}": value for name, value in values.items()},
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "kinds"))),
            "PROBE_WITNESS": str(self.folder / "witness"),
            "TMPDIR": str(self.temporary),
            **self._environment,
        }

    def _direct_services(self) -> Services:
        """Return services that reach the servers around the proxies."""
        around = {"broker_url": SecretStr(f"redis://127.0.0.1:{self.redis.port}/0")}
        if self._mongo_url is None:
            around["mongo_url"] = SecretStr(f"mongodb://127.0.0.1:{self.mongo.port}/?directConnection=true")
        made = Services(self.settings.model_copy(update=around))
        self._open.callback(made.close)
        return made

    def _proxy(self, port: int) -> Proxy:
        made = Proxy(port)
        self._open.callback(made.close)
        return made


ROWS: list[Row] = []
"""What each fault of this session did, for the table at its end."""


def effects_of(job: Job) -> int:
    """Return how many effects *job* leaves itself if it succeeds."""
    match job:
        case LeaveMarks() | LeaveRareMarks():
            return job.steps
        case CallOutside():
            return job.calls
        case HaveChildren():
            return 1
    return 0


def command_of(name: str, slots: int) -> tuple[str, ...]:
    """Return the command of the process *name*: a sweeper, the API, or a worker for the queue of its name."""
    if name.startswith("sweeper"):
        return (sys.executable, "-m", "workers.sweeper")
    if name.startswith("api"):
        return (sys.executable, "-m", "web.server")
    queue = {
        "organizer": "organizations",
        "importer": "files",
        "ingester": "ingestion",
        "analyst": "analytics",
    }.get(name.partition("-")[0], QUEUE)
    options = ("-Q", f"fairway.{queue}", "-c", str(slots), "-n", f"{name}@%h", "-E")
    celery = (sys.executable, "-m", "celery", "-q", "-A", "workers.app", "worker")
    return (*celery, *options, "--without-mingle", "--without-gossip")


def until(
    reached: Callable[[], bool], what: str, within_s: float = 30, report: Callable[[], str] = lambda: ""
) -> None:
    """Poll until *reached*; fail, naming *what* was waited for."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}\n{report()}"
        time.sleep(0.03)
