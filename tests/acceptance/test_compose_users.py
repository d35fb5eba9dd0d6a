"""The users of `docker-compose.yml` on a real Redis: each can do its work, and no more."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from common.probe.leave_marks import LeaveMarks

from common.config import Settings
from common.coordination.circuit_breaker import CircuitBreaker, Target
from common.coordination.limit_states import LimitStates
from common.coordination.lock import Lock
from common.coordination.memory import MARK, RedisMemory
from common.coordination.rate_limiter import RateLimiter, SlidingWindow, Turn
from common.services import Services
from common.tenancy.cache import Cache, Versioned
from common.tenancy.changes import CHANNEL
from deploy.compose.make_secrets import main as make_secrets
from deploy.local.servers import Server, free_port, redis_server
from deploy.local.supervisor import ROOT, Process, Supervisor
from tests.integration.conftest import caller_of, make_organization
from workers import runner


@dataclass(frozen=True)
class Guarded:
    """A Redis with the compose file's users of that name."""

    name: str
    port: int
    secrets: Path

    def url(self, user: str) -> str:
        """Return the address for *user*."""
        url = (self.secrets / f"{self.name}_url_{user}").read_text()
        return url.replace(f"@{self.name}:6379", f"@127.0.0.1:{self.port}")

    def client(self, user: str) -> redis.Redis:
        """Return a client of *user*."""
        return redis.Redis.from_url(self.url(user))


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    """Run a broker with the ACL file that the secrets' maker makes."""
    yield from run("broker")


@pytest.fixture
def guarded_redis() -> Iterator[Guarded]:
    """Run the other Redis with its ACL file."""
    yield from run("redis")


def run(name: str) -> Iterator[Guarded]:
    """Run the Redis of that name."""
    folder = Path(tempfile.mkdtemp(prefix="fairway-acl-"))
    make_secrets(folder / "secrets")
    port = free_port()
    command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    command += ["--maxmemory-policy", "noeviction", "--aclfile", str(folder / "secrets" / f"{name}_acl")]
    made = Guarded(name, port, folder / "secrets")
    password = (folder / "secrets" / f"{name}_health").read_text()

    def answers() -> bool:
        try:
            return bool(redis.Redis(port=port, username="health", password=password).ping())
        except redis.ConnectionError:
            return False

    server = Server("guarded", command, folder, answers)
    server.start()
    yield made
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("api", ("FLUSHALL",)),
        ("api", ("CONFIG", "SET", "maxmemory", "1")),
        ("worker", ("KEYS", "*")),
        ("sweeper", ("SHUTDOWN",)),
        ("flower", ("LPUSH", "fairway.tickets", "x")),
        ("flower", ("ZADD", "fairway:lane:tickets:waiting", "1", "x")),
        ("health", ("GET", "fairway:epoch")),
    ],
)
def test_a_user_may_do_no_more_than_its_work(guarded: Guarded, user: str, command: tuple[str, ...]) -> None:
    password = (guarded.secrets / "broker_health").read_text()
    client = (
        redis.Redis(port=guarded.port, username="health", password=password)
        if user == "health"
        else guarded.client(user)
    )

    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("user", ["api", "worker", "sweeper"])
def test_each_service_coordinates_as_its_own_user(guarded_redis: Guarded, user: str) -> None:
    client = guarded_redis.client(user)
    memory = RedisMemory(client, look_every_s=0)
    limiter, lock = RateLimiter(client, "api", memory=memory), Lock(client)
    breaker, target = CircuitBreaker(client, memory=memory), Target("api.example")
    limit = SlidingWindow(2, per_s=60)

    for turn in (None, Turn("a", "1"), Turn("b", "2")):
        limiter.reserve("api.example", limit, turn=turn)
    limiter.penalize("api.example", 5, credential="key")
    with lock.hold("source", 5) as lease, breaker.guard(target):
        assert [one.fence for one in lock.all_held()] == [lease.fence]
    breaker.reset(target)
    states = LimitStates(client).all_of()

    assert {(one.name, one.permits) for one in states} == {("api.example", 2), ("api.example", None)}
    assert breaker.states() == []
    mark = client.get(MARK)
    assert isinstance(mark, bytes)
    assert not mark.startswith(b" ")  # the server's run is known, without which a restart would go unnoticed
    assert lock.reset("source") is None


@pytest.mark.parametrize("user", ["api", "worker"])
def test_the_word_of_a_change_is_passed_on(guarded_redis: Guarded, user: str) -> None:
    cache, listening = Cache(guarded_redis.client(user)), guarded_redis.client("api").pubsub()
    listening.subscribe(CHANNEL)
    cache.put("a", Versioned(1, "before"))
    assert cache.get("a") == Versioned(1, "before")

    cache.forget({"a": 2}, CHANNEL)

    assert cache.get("a") is None
    ends_at, heard = time.monotonic() + 5, list[str]()
    while "message" not in heard:
        assert time.monotonic() < ends_at, heard
        heard += [one["type"] for one in [listening.get_message(timeout=0.1)] if one is not None]
    with pytest.raises(redis.exceptions.NoPermissionError):
        guarded_redis.client(user).publish("other", "x")


def test_nobody_gets_in_without_a_user(guarded: Guarded) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=guarded.port).ping()


def test_each_service_does_its_work_as_its_own_user_and_tells_its_health(
    guarded: Guarded, settings: Settings
) -> None:
    runner.discover()
    base = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "COV"))},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "kinds")]),
        "FAIRWAY_MONGO_URL": settings.mongo_url.get_secret_value(),
        "FAIRWAY_CONTROL_DATABASE": settings.control_database,
        "FAIRWAY_DATA_DATABASES": ",".join(settings.data_databases),
        "FAIRWAY_DATA_DIR": str(settings.data_dir),
        "FAIRWAY_METRICS_PORT": "0",
        "FAIRWAY_SWEEP_S": "0.5",
    }
    as_user = {
        user: {**base, "FAIRWAY_BROKER_URL": guarded.url(user)} for user in ("api", "worker", "sweeper", "flower")
    }
    lines: list[str] = []
    supervisor = Supervisor(lambda name, line: lines.append(f"{name} | {line}"), grace_s=10)
    celery = (sys.executable, "-m", "celery", "-q", "-A", "workers.app")
    flower_port = str(free_port())
    services = Services(settings.model_copy(update={"broker_url": type(settings.broker_url)(guarded.url("api"))}))
    services.prepare()
    try:
        assert health(as_user["worker"], "tickets") != 0
        supervisor.start(Process("sweeper", (sys.executable, "-m", "workers.sweeper"), as_user["sweeper"]))
        supervisor.start(
            Process("worker", (*celery, "worker", "-Q", "fairway.tickets", "-c", "1", "-E"), as_user["worker"])
        )
        flower = (*celery, "flower", "--address=127.0.0.1", f"--port={flower_port}")
        supervisor.start(Process("flower", flower, {**as_user["flower"], "FLOWER_BASIC_AUTH": "a:b"}))
        org_id = make_organization(services)
        job = services.submit(caller_of(org_id), LeaveMarks(steps=2))

        until(lambda: services.jobs.get(org_id, job.id).state == "succeeded", "the job", lines)
        until(lambda: health(as_user["worker"], "tickets") == 0, "the worker's health", lines)
        until(lambda: health(as_user["sweeper"], "--sweeper") == 0, "the sweeper's health", lines)
        until(lambda: flower_sees_a_worker(flower_port), "Flower", lines)
        assert supervisor.restarts_of("worker") == supervisor.restarts_of("sweeper") == 0
    finally:
        supervisor.stop()
        services.close()


def flower_sees_a_worker(port: str) -> bool:
    import httpx

    try:
        return bool(
            httpx.get(f"http://127.0.0.1:{port}/workers?json=1", auth=("a", "b"), timeout=5).json()["data"]
        )
    except (httpx.HTTPError, ValueError):
        return False


def health(environment: dict[str, str], what: str) -> int:
    command = [sys.executable, "-m", "workers.health", what]
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, timeout=30, check=False
    ).returncode


def until(reached: Callable[[], bool], what: str, lines: list[str]) -> None:
    deadline = time.monotonic() + 40
    while not reached():
        assert time.monotonic() < deadline, what + "\n" + "\n".join(lines[-40:])
        time.sleep(0.1)


def test_production_refuses_to_start_without_its_keys(settings: Settings) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_")},
        "FAIRWAY_ENV": "production",
        "FAIRWAY_MONGO_URL": settings.mongo_url.get_secret_value(),
        "FAIRWAY_BROKER_URL": settings.broker_url.get_secret_value(),
        "FAIRWAY_DATA_DIR": str(settings.data_dir),
        "FAIRWAY_METRICS_PORT": "0",
    }

    died = subprocess.run(
        [sys.executable, "-m", "web.server"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert died.returncode == 1
    assert "FAIRWAY_SECRET_KEYS_FILE" in died.stderr
