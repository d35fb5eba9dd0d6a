"""Memory of the API and of a worker over 100,000 jobs: what they hold after a tenth of them, and after all."""

import os
import shutil
from typing import Any

import psutil

from bench import accept
from bench.drain import unfinished
from bench.rig import Rig, celery, child, free_port, rig, until

JOBS = int(os.environ.get("BENCH_JOBS", "100000"))


def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        print("memory: skipped, there is no wrk (apt-get install wrk)")
        return
    with rig() as made:
        api = over_http(made)
        worker = draining(made)
    for name, (early, late, jobs) in {"API": api, "worker": worker}.items():
        print(
            f"memory of the {name:8} after {jobs // 10:,} jobs {early:7.1f} MB, after {jobs:,} {late:7.1f} MB, "
            f"growth {late - early:+.1f} MB",
            flush=True,
        )


def over_http(made: Rig) -> tuple[float, float, int]:
    """Accept jobs until there are `JOBS`; return the megabytes of all API processes at both moments."""
    made.empty()
    port = free_port()
    environment = made.environment(FAIRWAY_RATE_LIMITS="off")
    command = accept.command("granian", "web.server:application", port, 16, made="ours")
    early = 0.0
    with child(command, environment, accept.log(made)) as api:
        token = accept.sign_in(made, environment, f"http://127.0.0.1:{port}")
        while (accepted := unfinished(made)) < JOBS:
            accept.load(f"http://127.0.0.1:{port}/v1/bench/jobs", token)
            if not early and accepted >= JOBS // 10:
                early = megabytes(api.pid)
        return early, megabytes(api.pid), accepted


def draining(made: Rig) -> tuple[float, float, int]:
    """Run all of them in one worker; return the megabytes of its processes at both moments."""
    environment = made.environment()
    count = unfinished(made)
    command = celery("workers.app", "-Q", "fairway.bench", "-c", "2", "-n", "bench@%h", "-E")
    with child(["env", *command], environment, made.folder / "ours.log") as worker, sweeping(made):
        until(lambda: unfinished(made) <= count - count // 10, 600, "a tenth of the jobs")
        early = megabytes(worker.pid)
        until(lambda: unfinished(made) == 0, 1800, "all jobs")
        return early, megabytes(worker.pid), count


def sweeping(made: Rig) -> Any:
    """Run a sweeper beside the block: the lanes were emptied with the other side's Redis."""
    import sys

    return child([sys.executable, "-m", "workers.sweeper"], made.environment(), made.folder / "sweeper.log")


def megabytes(pid: int) -> float:
    """Return what *pid* and its children hold for themselves."""
    process = psutil.Process(pid)
    return sum(one.memory_full_info().uss for one in [process, *process.children(recursive=True)]) / 1e6


if __name__ == "__main__":
    main()
