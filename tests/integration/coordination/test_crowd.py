"""Eight processes on a real Redis: the laws hold whoever asks, and demand is met."""

import itertools
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.servers import Redis
from tests.integration.coordination.crowd import READY

ROOT = Path(__file__).parents[3]
PROCESSES = 8
PERMITS, PER_S = 20, 2.0
"""600 a minute."""

SECONDS = [
    pytest.param(5, id="short"),
    pytest.param(19, id="19 s", marks=pytest.mark.slow),  # it ends within a window: at its edge one more may open
]


@pytest.fixture
def client(seven: Redis) -> "redis.Redis":
    made = redis.Redis(port=seven.port)
    made.flushall()
    return made


def crowd(
    seven: Redis, seconds: float, *crowds: tuple[Any, ...], meanwhile: Callable[[], None] | None = None
) -> list[Any]:
    """Run the processes together; return what they said."""
    program = [sys.executable, "-m", "tests.integration.coordination.crowd"]
    running = [
        subprocess.Popen(
            [*program, what, *map(str, (seven.port, seconds, *own))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for what, *own in crowds
    ]
    assert [process.stdout.readline().strip() for process in running if process.stdout] == [READY] * len(running)
    begins_at = time.monotonic() + 0.1
    for process in running:
        assert process.stdin is not None
        process.stdin.write(f"{begins_at}\n")
        process.stdin.flush()
    while meanwhile is not None and time.monotonic() < begins_at + seconds - 0.5:
        if time.monotonic() > begins_at + 0.5:
            meanwhile()
        time.sleep(0.05)
    outputs = [process.communicate(timeout=seconds + 60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    return sorted(json.loads(line) for output in outputs for line in output.splitlines())


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("kind", ["window", pytest.param("bucket", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("client")
def test_never_more_than_the_limit_and_hardly_less(seven: Redis, seconds: int, kind: str) -> None:
    permits = crowd(seven, seconds, *[("take", kind, PERMITS, PER_S)] * PROCESSES)

    most = PERMITS if kind == "window" else 2 * PERMITS
    for _, end in permits:
        # Given for certain within the window: asked for after its begin, answered before its end.
        assert sum(end - PER_S < began and ended <= end for began, ended in permits) <= most
    due = PERMITS * math.ceil(seconds / PER_S) if kind == "window" else PERMITS * (1 + seconds / PER_S)
    assert 0.95 * due <= len(permits) <= due + 1


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_small_party_gets_what_it_asks_beside_a_backfill(
    seven: Redis, client: "redis.Redis", seconds: int
) -> None:
    permits, per_s = 2, 0.2
    served = crowd(
        seven,
        seconds,
        *[("go_round", "backfill", 5, permits, per_s)] * (PROCESSES - 2),
        ("go_round", "small", 1, permits, per_s),
        ("go_round", "other", 1, permits, per_s),
    )

    shares = Counter(party for _, party in served)
    assert len(served) >= 0.9 * permits * seconds / per_s
    # A third is an equal share of three; who waits with one ticket only asks again when it was served.
    assert min(shares["small"], shares["other"]) >= 0.25 * len(served), shares
    client.flushall()


@pytest.mark.usefixtures("client")
def test_one_holder_at_a_time_and_fences_that_rise(seven: Redis, redis_url: str) -> None:
    epochs = redis.Redis.from_url(redis_url)
    epochs.delete("epoch")

    held = crowd(seven, 3, *[("hold", redis_url)] * PROCESSES)

    assert len(held) > 100
    assert _overlaps(held) == 0
    assert len({fence for fence, _, _ in held}) == len(held)


def test_fences_rise_while_redis_is_emptied_again_and_again(
    seven: Redis, client: "redis.Redis", redis_url: str
) -> None:
    redis.Redis.from_url(redis_url).delete("epoch")

    held = crowd(seven, 3, *[("hold", redis_url)] * PROCESSES, meanwhile=client.flushall)

    # Two may hold it across a loss; what begins later has the larger number all the same.
    assert len({fence for fence, _, _ in held}) == len(held)
    begins = sorted(held, key=lambda one: one[1])
    late = [b for a, b in itertools.pairwise(begins) if b[0] < a[0] and b[1] > a[2]]
    assert late == []


def _overlaps(held: list[tuple[int, float, float]]) -> int:
    """Count pairs, in the order of their fences, of which the later began before the earlier ended."""
    return sum(second[1] < first[2] for first, second in itertools.pairwise(held))


@pytest.mark.usefixtures("client")
def test_one_trial_in_the_whole_fleet(seven: Redis) -> None:
    open_s = 1.0

    calls = [at for (at,) in crowd(seven, 5, *[("try_it", open_s)] * PROCESSES)]

    opened = calls[0] + 0.2  # until then every process may find out for itself
    trials = [at for at in calls if at > opened]
    assert 3 <= len(trials) <= 5, calls
    assert all(later - earlier > 0.9 * open_s for earlier, later in itertools.pairwise(trials))
