"""Draining 5,000 accepted jobs of 200 tenants with two worker processes, against plain Celery made safe.

The rate is taken between the first and the last mark that handlers leave, which leaves starting out. On our side
every job's final state is in MongoDB with a majority; a run whose jobs did not all succeed does not count.
"""

import os
import sys
from collections.abc import Callable

import redis

from bench.rig import Rig, celery, child, pairs, report, rig, until

JOBS = int(os.environ.get("BENCH_JOBS", "5000"))
EVERY = 50
TENANTS = 200
_TUNED = {"BENCH_TUNED": "1", "BENCH_PREFETCH": "4"}
VARIANTS: tuple[tuple[str, float, str, dict[str, str], str], ...] = (
    ("no-ops", 0, "safe", {}, ">= 3"),
    ("no-ops", 0, "safe and tuned", _TUNED, "-"),
    ("jobs of 1 ms", 1, "safe", {}, ">= 1.0"),
)


def main() -> None:
    """Measure and print."""
    with rig() as made:
        for what, ms, variant, peer, bar in VARIANTS:
            found = pairs(
                lambda ms=ms: ours(made, ms=ms, tenants=TENANTS), lambda ms=ms, peer=peer: plain(made, peer, ms=ms)
            )
            report(f"drain {JOBS} {what}, against Celery {variant}", found, "jobs/s", bar)


def ours(made: Rig, *, ms: float, tenants: int) -> float:
    """Return our jobs a second."""
    made.empty()
    environment = made.environment()
    submit(environment, ms, tenants)
    command = celery("workers.app", "-Q", "fairway.bench", "-c", "2", "-n", "bench@%h", "-E")
    with child(command, environment, made.folder / "ours.log"):
        rate = _rate(made)
        until(lambda: unfinished(made) == 0, 30, "every job's final state")
    return rate


def plain(made: Rig, peer: dict[str, str], *, ms: float) -> float:
    """Return plain Celery's jobs a second."""
    made.empty()
    environment = made.environment(**peer)
    call = f"take_time.delay(n, {ms})" if ms else "noop.delay(n)"
    script = f"from plain import noop, take_time\nfor n in range({JOBS}): {call}"
    with child([sys.executable, "-c", script], environment, made.folder / "plain.log") as producer:
        producer.wait(120)
    with child(celery("plain:tasks", "-c", "2", "-n", "plain@%h"), environment, made.folder / "plain.log"):
        return _rate(made)


def submit(environment: dict[str, str], ms: float, tenants: int) -> None:
    """Accept the jobs through the platform's own code, from several threads."""
    os.environ.update({key: value for key, value in environment.items() if key.startswith("FAIRWAY_")})
    from bench.submit import submit_many

    submit_many(JOBS, ms=ms, tenants=tenants)


def unfinished(made: Rig) -> int:
    """Count the jobs that have not succeeded."""
    import pymongo

    with pymongo.MongoClient(made.mongo.url) as client:
        return client["bench"]["jobs"].count_documents({"state": {"$ne": "succeeded"}})


def _rate(made: Rig) -> float:
    with redis.Redis.from_url(made.redis.url(9)) as marks:
        reached: Callable[[], bool] = lambda: marks.llen("drained") >= JOBS // EVERY  # noqa: E731 (a condition)
        until(reached, 120, f"{JOBS} jobs")
        stamps = sorted(float(one) for one in marks.lrange("drained", 0, -1))
    return (len(stamps) - 1) * EVERY / (stamps[-1] - stamps[0])


if __name__ == "__main__":
    main()
