"""Importing a file of tickets, against a bare script that upserts it in bulk: same indexes, same server.

Ours is the real job: encoding and delimiter found, rows checked, batches behind the fence, checkpoints, progress.
"""

import csv
import os
import random
import time
from pathlib import Path

import bare_import
import pymongo

from bench.rig import Rig, celery, child, pairs, report, rig, until

ROWS = int(os.environ.get("BENCH_ROWS", "50000"))


def main() -> None:
    """Measure and print."""
    with rig() as made:
        path = made.folder / "tickets.csv"
        write(path)
        found = pairs(lambda: ours(made, path), lambda: plain(made, path))
        report(f"import of {ROWS} rows", found, "rows/s", ">= 0.7")


def write(path: Path) -> None:
    """Write a file of tickets, the same each time."""
    chance = random.Random(7)
    words = [
        "card",
        "account",
        "transfer",
        "refund",
        "invoice",
        "delivery",
        "late",
        "missing",
        "wrong",
        "please",
        "today",
        "order",
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["external_id", "customer_id", "channel", "subject", "message"])
        for number in range(ROWS):
            message = " ".join(chance.choices(words, k=20))
            writer.writerow([f"t{number}", f"c{number % 997}", "email", message[:40], message])


def plain(made: Rig, path: Path) -> float:
    """Return the bare script's rows a second."""
    from common.tickets.collections import TICKETS

    with pymongo.MongoClient(made.mongo.url, w="majority") as client:
        client.drop_database("bare")
        tickets = client["bare"]["tickets"]
        # Its key is the external id; of `content` it makes no use, but keeps it like ours.
        key = [("org_id", 1), ("source_id", 1), ("external_id", 1)]
        own = [pymongo.IndexModel(key, unique=True), pymongo.IndexModel([*key, ("content_hash", 1)])]
        named = {"natural_key", "content"}
        tickets.create_indexes([*own, *(one for one in TICKETS.indexes if one.document["name"] not in named)])
        started = time.perf_counter()
        rows = bare_import.run(path, tickets)
        return rows / (time.perf_counter() - started)


def ours(made: Rig, path: Path) -> float:
    """Return our rows a second, from the job's start to its end."""
    from bench.submit import organization, services
    from common.tickets.import_file import ImportFile

    made.empty()
    environment = made.environment()
    os.environ.update({name: value for name, value in environment.items() if name.startswith("FAIRWAY_")})
    platform = services()
    caller = organization(platform)
    with path.open("rb") as file:
        blob = platform.blobs.save(iter(lambda: file.read(1 << 16), b""), max_bytes=1 << 32)
    with child(
        celery("workers.app", "-Q", "fairway.tickets", "-c", "1", "-n", "i@%h", "-E"),
        environment,
        made.folder / "i",
    ):
        asked = ImportFile(blob_id=blob.id, filename="tickets.csv", format="csv", mapping={})
        job = platform.submit(caller, asked)
        until(lambda: platform.jobs.get(caller.org_id, job.id).is_final, 300, "the import")
        ended = platform.jobs.get(caller.org_id, job.id)
    platform.close()
    if ended.state != "succeeded" or ended.result["new"] != ROWS or not ended.started_at or not ended.finished_at:
        raise RuntimeError(f"the import went wrong: {ended.error or ended.result}")
    return ROWS / (ended.finished_at - ended.started_at).total_seconds()


if __name__ == "__main__":
    main()
