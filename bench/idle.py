"""Idle latency: from submitting one job to its handler running, at gaps of 50 ms. Less is better."""

import statistics
import sys
import time
from collections.abc import Callable

import redis

from bench.rig import Rig, celery, child, pairs, report, rig

SAMPLES = 40
GAP_S = 0.05
_OURS = (
    "import sys; from bench.submit import services, organization; from common.bench.do_nothing import Stamp\n"
    "made = services(); caller = organization(made)\n"
    "for line in sys.stdin: made.submit(caller, Stamp()); print('in', flush=True)"
)
_PLAIN = "import sys; from plain import stamp\nfor line in sys.stdin: stamp.delay(); print('in', flush=True)"


def main() -> None:
    """Measure and print."""
    with rig() as made:
        found = pairs(
            lambda: latency(
                made, _OURS, celery("workers.app", "-Q", "fairway.bench", "-c", "2", "-n", "b@%h", "-E")
            ),
            lambda: latency(made, _PLAIN, celery("plain:tasks", "-c", "2", "-n", "p@%h")),
        )
        report("idle submit to run, p50", found, "ms", "<= 1.8")


def latency(made: Rig, producer: str, worker: list[str]) -> float:
    """Return the median time from asking the producer to the handler's stamp, in milliseconds."""
    import subprocess

    made.empty()
    environment = made.environment()
    with (
        child(worker, environment, made.folder / "idle.log"),
        subprocess.Popen(
            [sys.executable, "-c", producer],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as asked,
        redis.Redis.from_url(made.redis.url(9)) as marks,
    ):
        if asked.stdin is None or asked.stdout is None:
            raise RuntimeError("the producer has no pipes")
        ask: Callable[[str], int] = asked.stdin.write
        found = []
        for number in range(SAMPLES + 10):
            time.sleep(GAP_S)
            started = time.time()
            ask("now\n")
            asked.stdin.flush()
            stamp = marks.blpop(["ran"], timeout=30)
            asked.stdout.readline()
            if stamp is None:
                raise TimeoutError("a job did not run")
            if number >= 10:
                found.append((float(stamp[1]) - started) * 1000)
        asked.stdin.close()
    return statistics.median(found)


if __name__ == "__main__":
    main()
