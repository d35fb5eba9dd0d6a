"""Ingesting from a source as fast as can be, against a bare script that fetches and upserts the same pages.

Ours is the real job in a real worker: permits, breaker, fences, checkpoints, classification, history, log. Both
write into collections with the same indexes; a second time, when nothing has changed, the script does what it did.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import bare_ingestion
import pymongo

from bench.rig import HERE, Rig, celery, child, free_port, pairs, report, rig, until

ROWS = int(os.environ.get("BENCH_ROWS", "100000"))
PAGE = 1_000
CONFIG: dict[str, Any] = {
    "path": "/tickets",
    "records": "/data",
    "fields": {
        "external_id": "/id",
        "customer_id": "/customer",
        "subject": "/subject",
        "message": "/text",
        "status": "/status",
        "tags": "/tags",
        "created_at": "/created_at",
    },
    "changed_at": "/changed_at",
    "paging": {"style": "link", "size_parameter": "limit", "total": "/total"},
}
"""Without a parameter for what has changed since: an incremental run sees every record again, too."""


@dataclass(frozen=True)
class Rates:
    """Records a second: the first time, and when nothing has changed."""

    new: float
    full: float
    incremental: float


def main() -> None:
    """Measure and print."""
    with rig() as made, serving(made, ROWS, PAGE, [free_port()]) as (host,):
        found = pairs(lambda: ours(made, host), lambda: plain(made, host))
    figures = (("new", "new", ">= 0.7"), ("full", "unchanged, full", ">= 3"), ("incremental", "unchanged", ">= 3"))
    for field, what, bar in figures:
        of_both = [(getattr(left, field), getattr(right, field)) for left, right in found]
        report(f"ingestion of {ROWS}, {what}", of_both, "records/s", bar)


@contextmanager
def serving(made: Rig, records: int, page_size: int, ports: list[int]) -> Iterator[list[str]]:
    """Serve a source on each of *ports*, in a process of its own, and give the hosts."""
    command = [sys.executable, str(HERE / "peers" / "fast_source.py"), str(records), str(page_size)]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    with child([*command, *map(str, ports)], made.environment(), made.folder / "source.log"):
        until(lambda: all(map(_answers, hosts)), 60, "the source")
        yield hosts


def plain(made: Rig, host: str) -> Rates:
    """Return the bare script's rates."""
    from common.tickets.collections import TICKETS

    with pymongo.MongoClient(made.mongo.url, w="majority") as client:
        client.drop_database("bare")
        tickets = client["bare"]["tickets"]
        tickets.create_indexes(list(TICKETS.indexes))
        url = f"http://{host}/tickets?limit={PAGE}"
        new, again = (bare_ingestion.rate(url, tickets) for _ in range(2))
        if tickets.count_documents({}) != ROWS:
            raise RuntimeError("the bare script lost some")
    return Rates(new, again, again)


def ours(made: Rig, host: str) -> Rates:
    """Return our rates, each from a job's start to its end."""
    from bench.submit import organization, services
    from common.sources.draft import Draft

    made.empty()
    more = {"FAIRWAY_INGEST_ALLOWED_HOSTS": host, "FAIRWAY_INGEST_REQUESTS_PER_MINUTE": "100000"}
    environment = made.environment(**more)
    os.environ.update({name: value for name, value in environment.items() if name.startswith("FAIRWAY_")})
    _forget(made)
    platform = services()
    caller = organization(platform)
    draft = Draft(name="Fast", connector="rest", base_url=f"http://{host}", page_size=PAGE, config=CONFIG)
    source_id = platform.sources.create(caller, draft, {}).source_id
    worker = celery("workers.app", "-Q", "fairway.ingestion", "-c", "1", "-n", "ingestion@%h", "-E")
    with child(worker, environment, made.folder / "ours.log"):
        rates = Rates(
            new=_run(platform, caller, source_id, "incremental", "new"),
            full=_run(platform, caller, source_id, "full", "unchanged"),
            incremental=_run(platform, caller, source_id, "incremental", "unchanged"),
        )
    platform.close()
    return rates


def _run(platform: Any, caller: Any, source_id: str, mode: Literal["incremental", "full"], outcome: str) -> float:
    job = platform.runs.start(caller, source_id, mode)
    until(lambda: platform.jobs.get(caller.org_id, job.id).is_final, 300, "the ingestion")
    ended = platform.jobs.get(caller.org_id, job.id)
    if ended.state != "succeeded" or ended.result[outcome] != ROWS:
        raise RuntimeError(f"the ingestion went wrong: {ended.error or ended.result}")
    return ROWS / (ended.finished_at - ended.started_at).total_seconds()


def _forget(made: Rig) -> None:
    """Let both sides begin with nothing stored."""
    with pymongo.MongoClient(made.mongo.url) as client:
        for database in ("bench", "bench_data"):
            client.drop_database(database)


def _answers(host: str) -> bool:
    import urllib3

    try:
        return urllib3.request("GET", f"http://{host}/calls", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


if __name__ == "__main__":
    main()
