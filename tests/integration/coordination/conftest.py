"""One suite for three: fakeredis, Redis 6.2 and Redis 7. The first two have a clock that a test sets."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import fakeredis
import pytest
import redis

from deploy.local.servers import Redis
from tests.redis_programs import redis_6_with_clock, redis_7

KINDS = ("fakeredis", "redis 6.2", "redis 7")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


@dataclass
class Stand:
    """A Redis with a way to let time pass on it; where its clock is real, instants are off by *slack_s*."""

    client: "redis.Redis"
    slack_s: float = 0.0
    set_clock: Callable[[float], None] | None = None
    now_s: float = field(default=NOON)

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass; backwards only where the clock can be set."""
        if self.set_clock is not None:
            self.now_s = round(self.now_s + seconds, 6)
            self.set_clock(self.now_s)
            return
        over_at = time.monotonic() + seconds + 0.002
        while time.monotonic() < over_at:
            time.sleep(max(0.0, over_at - time.monotonic()))

    def about(self, seconds: float) -> object:
        """Return what equals *seconds* as well as this clock can tell."""
        return pytest.approx(seconds, abs=max(self.slack_s, 0.0011))


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Return the folder of this session's servers."""
    made = Path(tempfile.mkdtemp(prefix="fairway-redis-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def clocked(folder: Path) -> Iterator[tuple[Redis, Path]]:
    """Run Redis 6.2 with a clock that a file sets."""
    clock = folder / "clock"
    write_clock(clock, NOON)
    server = Redis(folder / "6", program=redis_6_with_clock(clock))
    server.start()
    yield server, clock
    server.stop()


@pytest.fixture(scope="session")
def seven(folder: Path) -> Iterator[Redis]:
    """Run Redis 7."""
    server = Redis(folder / "7", program=redis_7())
    server.start()
    yield server
    server.stop()


def write_clock(file: Path, instant: float) -> None:
    """Set the clock that *file* is; in one step, for the server reads it whenever it likes."""
    partial = file.with_suffix(".new")
    shown = datetime.fromtimestamp(instant, UTC).astimezone()
    partial.write_text(shown.strftime("%Y-%m-%d %H:%M:%S.%f"), encoding="ascii")
    partial.rename(file)


@pytest.fixture(params=KINDS)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Return each of the three in turn, empty."""
    yield from _stand(request)


@pytest.fixture(params=KINDS[:2])
def still(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Return each of those with a clock that can be set, empty."""
    yield from _stand(request)


def _stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    match request.param:
        case "fakeredis":
            with faked() as made:
                yield made
        case "redis 6.2":
            server, clock = request.getfixturevalue("clocked")
            yield on_clock(server, clock)
        case _:
            server = request.getfixturevalue("seven")
            with redis.Redis(port=server.port) as client:
                client.flushall()
                yield Stand(client, slack_s=0.3)


class faked:  # noqa: N801 (a context manager, named as one reads it)
    """A fakeredis on a clock that stands still; `time.time` is held for everybody meanwhile."""

    def __enter__(self) -> Stand:
        self._patch = pytest.MonkeyPatch()
        stand = Stand(fakeredis.FakeRedis())
        stand.set_clock = lambda instant: self._patch.setattr(time, "time", lambda: instant)
        stand.set_clock(NOON)
        return stand

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def on_clock(server: Redis, clock: Path) -> Stand:
    """Return the server with the settable clock, empty and at noon."""
    write_clock(clock, NOON)
    client = redis.Redis(port=server.port)
    client.flushall()
    return Stand(client, set_clock=lambda instant: write_clock(clock, instant))
