"""Twenty sources that may each be asked sixty times a minute, on two slots: what each gets, and who waits for it.

The sixtieth call after a call can come a whole window later at the earliest. A source's share is the window by the
time that this took, the mean of all its calls. All sources begin at once, with more pages than can be asked for.
A call arrives some milliseconds after its permit, so that a server may count one more in a window than allowed.
"""

import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from bench.ingestion import CONFIG, serving
from bench.rig import Rig, celery, child, free_port, rig, until

SECONDS = float(os.environ.get("BENCH_SECONDS", "150"))
SOURCES, SLOTS = 20, 2
CALLS, WINDOW_S = 60, 60.0
RECORDS, PAGE = 20_000, 20
ASKED_EVERY_S = 0.5
ALONE = 20


@dataclass(frozen=True)
class Found:
    """When each source was called, how long (s) the other kind waited alone and meanwhile, and the slots' work."""

    calls: Sequence[Sequence[float]]
    alone: Sequence[float]
    meanwhile: Sequence[float]
    busy_s: float
    took_s: float


def main() -> None:
    """Measure and print."""
    ports = [free_port() for _ in range(SOURCES)]
    with rig() as made, serving(made, RECORDS, PAGE, ports) as hosts:
        found = measured(made, hosts)
    shares = [share(calls) for calls in found.calls]
    windows = int(found.took_s // WINDOW_S)
    whole = [sum(at < calls[0] + windows * WINDOW_S for at in calls) for calls in found.calls]
    print(
        f"{SOURCES} sources on {SLOTS} slots for {found.took_s:.0f} s: of its limit each gets "
        f"{statistics.median(shares):.3f}, at least {min(shares):.3f}  bar >= 0.95"
    )
    print(
        f"in the {windows} windows from its first call on each is called {min(whole)} to {max(whole)} times of "
        f"{windows * CALLS}; in any window {most_in_a_window(found.calls)} times at most"
    )
    print(f"the slots were busy with them for {found.busy_s / found.took_s / SLOTS:.1%} of the time")
    print(f"another kind of job waits {_waits(found.meanwhile)}; without sources {_waits(found.alone)}")


def share(calls: Sequence[float]) -> float:
    """Return how much of its limit a source got."""
    took = [later - earlier for earlier, later in zip(calls, calls[CALLS:], strict=False)]
    return WINDOW_S / statistics.mean(took) if took else 0.0


def most_in_a_window(of_all: Sequence[Sequence[float]]) -> int:
    """Return how many calls a source got in any window at most, as its server saw them."""
    return max(sum(first <= at < first + WINDOW_S for at in calls) for calls in of_all for first in calls)


def measured(made: Rig, hosts: list[str]) -> Found:
    """Start all sources at once, and ask for a job of another kind again and again."""
    from bench.submit import organization, services

    metrics_port, figures = free_port(), made.folder / "figures"
    figures.mkdir()
    environment = made.environment(
        FAIRWAY_INGEST_ALLOWED_HOSTS=",".join(hosts),
        FAIRWAY_METRICS_PORT=str(metrics_port),
        PROMETHEUS_MULTIPROC_DIR=str(figures),
    )
    os.environ.update({name: value for name, value in environment.items() if name.startswith("FAIRWAY_")})
    platform = services()
    caller, other = organization(platform), organization(platform)
    worker = celery("workers.app", "-Q", "fairway.ingestion", "-c", str(SLOTS), "-n", "w@%h", "-E")
    with (
        child(worker, environment, made.folder / "worker.log"),
        redis.Redis.from_url(made.redis.url(9)) as marks,
    ):
        alone = [_wait(platform, other, marks) for _ in range(ALONE + 5)][5:]  # the worker was starting
        _start(platform, caller, hosts)
        started, meanwhile = time.monotonic(), []
        while time.monotonic() < started + SECONDS:
            meanwhile.append(_wait(platform, other, marks))
            time.sleep(random.uniform(0.5, 1.5) * ASKED_EVERY_S)
        took_s = time.monotonic() - started
        calls = [orjson.loads(urllib3.request("GET", f"http://{host}/calls").data) for host in hosts]
        busy_s = _busy_s(metrics_port)
    platform.close()
    return Found(calls, alone, meanwhile, busy_s, took_s)


def _start(platform: Any, caller: Any, hosts: Sequence[str]) -> None:
    from common.sources.draft import Draft

    drafts = [Draft(host, "rest", f"http://{host}", PAGE, config=CONFIG) for host in hosts]
    sources = [platform.sources.create(caller, draft, {}) for draft in drafts]
    for one in sources:
        platform.runs.start(caller, one.source_id, "incremental")


def _wait(platform: Any, other: Any, marks: "redis.Redis") -> float:
    """Return how long (s) a job waits from its being asked for to its handler's first line."""
    from common.bench.pass_by import PassBy

    asked_at = time.time()
    platform.submit(other, PassBy())
    until(lambda: bool(marks.llen("ran")), 60, "a job of another kind")
    return float(marks.lpop("ran")) - asked_at


def _busy_s(metrics_port: int) -> float:
    """Return how long handlers of ingestions ran, over all slots; those that are running are not counted."""
    text = urllib3.request("GET", f"http://127.0.0.1:{metrics_port}/metrics").data.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "fairway_job_run_seconds_sum" and sample.labels["kind"] == "tickets.ingest"
    )


def _waits(waits: Sequence[float]) -> str:
    cuts = statistics.quantiles(waits, n=100)
    return f"{cuts[49] * 1000:.0f} ms (median; {cuts[94] * 1000:.0f} at p95, {max(waits) * 1000:.0f} at most)"


if __name__ == "__main__":
    main()
