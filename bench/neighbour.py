"""A noisy neighbour: A queues 10,000 jobs of 20 ms, then B one, again and again; how long B waits, here and there.

B's wait is from asking for its job to the handler's first line, in units of one job's time, less the same with
nobody else there. Plain Celery runs B's job when A's are done: its wait is taken from the rate of A's jobs.
"""

import os
import statistics
import subprocess
import sys
import time

import redis

from bench.rig import Rig, celery, child, rig

CROWD = int(os.environ.get("BENCH_CROWD", "10000"))
MS = 20.0
SAMPLES = 20
MEASURED_S = 5.0
_PRODUCER = """
import sys
from bench.submit import organization, services, submit_many
made = services(); a, b = organization(made), organization(made)
from common.bench.do_nothing import TakeTime
import threading
def crowd(first, count):
    for number in range(first, count, 16): made.submit(a, TakeTime(number=number, ms={ms}, mark="a"))
def ask(count):
    threads = [threading.Thread(target=crowd, args=(first, count)) for first in range(16)]
    for one in threads: one.start()
    for one in threads: one.join()
for line in sys.stdin:
    if line.startswith("crowd"): ask(int(line.split()[1]))
    else: made.submit(b, TakeTime(number=-1, ms={ms}, mark="b"))
    print("in", flush=True)
"""


def main() -> None:
    """Measure and print."""
    with rig() as made:
        idle, busy, behind = ours(made)
        rate = plain(made)
    print(f"B alone: {statistics.median(idle):.1f} ms from asking to running (median of {SAMPLES})")
    print(
        f"B behind {CROWD:,} jobs of A: {statistics.median(busy):.1f} ms, at most {max(busy):.1f} ms; "
        f"that is {(statistics.median(busy) - statistics.median(idle)) / MS:.2f} of one job's time more, at most "
        f"{(max(busy) - statistics.median(idle)) / MS:.2f}  bar <= 1.1; of A began meanwhile: {behind} at most"
    )
    wait_s = CROWD / rate
    print(f"plain Celery: B waits for all {CROWD:,} of A, {wait_s:.0f} s, {wait_s * 1000 / MS:,.0f} jobs' time")


def ours(made: Rig) -> tuple[list[float], list[float], int]:
    """Return B's waits (ms) alone and behind A's crowd, and how many of A's jobs began meanwhile at most."""
    made.empty()
    environment = made.environment()
    worker = celery("workers.app", "-Q", "fairway.bench", "-c", "2", "-n", "bench@%h", "-E")
    command = [sys.executable, "-c", _PRODUCER.format(ms=MS)]
    with (
        child(worker, environment, made.folder / "ours.log"),
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as producer,
        redis.Redis.from_url(made.redis.url(9)) as marks,
    ):
        idle = [_ask(producer, marks)[0] for _ in range(SAMPLES + 5)][5:]
        _tell(producer, f"crowd {CROWD}")
        found = [_ask(producer, marks) for _ in range(SAMPLES)]
        if producer.stdin is not None:
            producer.stdin.close()
    return idle, [wait for wait, _ in found], max(meanwhile for _, meanwhile in found)


def plain(made: Rig) -> float:
    """Return how many of such jobs plain Celery runs a second."""
    made.empty()
    environment = made.environment()
    script = f"from plain import take_time\nfor n in range({CROWD}): take_time.delay(n, {MS}, 'a')"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    with (
        child(celery("plain:tasks", "-c", "2", "-n", "plain@%h"), environment, made.folder / "plain.log"),
        redis.Redis.from_url(made.redis.url(9)) as marks,
    ):
        marks.blpop(["a"], timeout=30)
        before, started = int(marks.llen("a")), time.monotonic()
        time.sleep(MEASURED_S)
        return (int(marks.llen("a")) - before) / (time.monotonic() - started)


def _ask(producer: "subprocess.Popen[str]", marks: "redis.Redis") -> tuple[float, int]:
    time.sleep(0.05 + 0.013 * (time.monotonic() % 1))  # at no fixed distance from A's jobs
    before, started = int(marks.llen("a")), time.time()
    _tell(producer, "one")
    stamp = marks.blpop(["b"], timeout=30)
    if stamp is None:
        raise TimeoutError("B's job did not run")
    began = float(stamp[1])
    meanwhile = sum(started <= float(one) < began for one in marks.lrange("a", before, -1))
    return (began - started) * 1000, meanwhile


def _tell(producer: "subprocess.Popen[str]", line: str) -> None:
    if producer.stdin is None or producer.stdout is None:
        raise RuntimeError("the producer has no pipes")
    producer.stdin.write(f"{line}\n")
    producer.stdin.flush()
    producer.stdout.readline()


if __name__ == "__main__":
    main()
