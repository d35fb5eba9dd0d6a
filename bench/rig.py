"""What every benchmark needs: servers of its own, child processes that end with it, pairs in turn, and ratios."""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from pydantic import SecretStr

from common.config import Settings
from deploy.local.lifeline import die_with_parent
from deploy.local.servers import Mongo, Redis, free_port

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))


@dataclass(frozen=True)
class Rig:
    """Servers for both sides: the same MongoDB and Redis, each side with databases of its own."""

    folder: Path
    mongo: Mongo
    redis: Redis

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a child of either side."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FAIRWAY_")}
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE, HERE / "kinds", HERE / "peers"))),
            "BENCH_BROKER_URL": self.redis.url(5),
            "BENCH_MARKS_URL": self.redis.url(9),
            "FAIRWAY_MONGO_URL": self.mongo.url,
            "FAIRWAY_BROKER_URL": self.redis.url(2),
            "FAIRWAY_REDIS_URL": self.redis.url(3),
            "FAIRWAY_CONTROL_DATABASE": "bench",
            "FAIRWAY_DATA_DATABASES": "bench_data",
            "FAIRWAY_DATA_DIR": str(self.folder / "data"),
            "FAIRWAY_METRICS_PORT": "0",
            "FAIRWAY_LOG_LEVEL": "WARNING",
            **more,
        }

    def settings(self) -> Settings:
        """Return what `environment` says to a child, for services of this process."""
        return Settings(
            mongo_url=SecretStr(self.mongo.url),
            broker_url=SecretStr(self.redis.url(2)),
            redis_url=SecretStr(self.redis.url(3)),
            control_database="bench",
            data_databases=("bench_data",),
            data_dir=self.folder / "data",
        )

    def empty(self) -> None:
        """Forget what earlier rounds left in Redis."""
        for database in (2, 3, 5, 9):
            with redis.Redis.from_url(self.redis.url(database)) as client:
                client.flushdb()


@contextmanager
def rig() -> Iterator[Rig]:
    """Start the servers, and stop them whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="fairway-bench-"))
    made = Rig(folder, Mongo(folder), Redis(folder))
    try:
        made.mongo.start()
        made.redis.start()
        yield made
    finally:
        made.redis.stop()
        made.mongo.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def child(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* beside the block, and end its whole process group afterwards."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def celery(app: str, *arguments: str) -> list[str]:
    """Return the command line of a worker."""
    return [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "WARNING", *arguments]


def until(reached: Callable[[], bool], within_s: float, what: str) -> None:
    """Poll until *reached*. Raises `TimeoutError`, naming *what* was waited for."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s for {what}")
        time.sleep(0.01)


def pairs(ours: Callable[[], float], plain: Callable[[], float]) -> list[tuple[float, float]]:
    """Measure both sides in turn, the order reversed every other time."""
    found = []
    for number in range(PAIRS):
        if number % 2:
            right, left = plain(), ours()
        else:
            left, right = ours(), plain()
        found.append((left, right))
    return found


def report(name: str, found: list[tuple[float, float]], unit: str, bar: str) -> None:
    """Print one line: medians, the median of the pairs' ratios, their spread, and the bar they are held to."""
    ratios = [left / right for left, right in found]
    print(
        f"{name:42} ours {statistics.median(x for x, _ in found):10,.1f}  plain "
        f"{statistics.median(y for _, y in found):10,.1f} {unit:9} ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f})  bar {bar}",
        flush=True,
    )


__all__ = ["HERE", "PAIRS", "ROOT", "Rig", "celery", "child", "free_port", "pairs", "report", "rig", "until"]
