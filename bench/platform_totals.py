"""What 10,000 organizations come to: by the census, against asking each of them; time, and documents examined.

`BENCH_ORGANIZATIONS` makes it smaller. The first hundredth of them is dedicated.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from statistics import median
from typing import Any

from bench.rig import rig
from common.files.collections import FILES
from common.ids import OrgId, new_id
from common.services import Services
from common.sources.collections import SOURCES
from common.tenancy.scope import OrgScope
from common.tickets.counting.collections import DELTAS, ROLLUPS

ORGANIZATIONS = int(os.environ.get("BENCH_ORGANIZATIONS", "10000"))
DEDICATED = ORGANIZATIONS // 1_000
BLOCKS, DAYS = 6, 60
PEOPLE, JOBS = 3, 5
ROUNDS = 3
BATCH = 2_000
BAR = 5.0


def main() -> int:
    """Fill, measure both ways in turn, and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        org_ids = fill(services)
        took, examined = [], 0
        for number in range(ROUNDS):
            run_id = new_id()
            by_census, examined = census(services, run_id)
            one_by_one, total = each(services, org_ids)
            found = services.platform_totals.add_up(run_id, datetime.now(UTC))
            assert found["totals"]["tickets"] == total, (found["totals"], total)
            took.append((by_census, one_by_one))
            print(f"round {number + 1}: {by_census:.2f} s by the census, {one_by_one:.2f} s one by one")
        ratio = median(plain / ours for ours, plain in took)
        print(
            f"totals of {ORGANIZATIONS:,} organizations ({DEDICATED} dedicated, {total:,} tickets):"
            f" {ratio:.1f} times as fast as asking each; bar {BAR:g}; {examined:,} documents examined,"
            f" {examined / ORGANIZATIONS:.1f} an organization"
        )
        return int(ratio < BAR)


def fill(services: Services) -> list[OrgId]:
    """Put organizations there, each with rollups, people and jobs."""
    chance, ids = random.Random(3), [OrgId(new_id()) for _ in range(ORGANIZATIONS)]
    now = services.clock.now()
    for begin in range(0, ORGANIZATIONS, BATCH):
        services.control.organizations.insert_many(
            {
                "_id": one,
                "name": f"Organization {begin + number}",
                "slug": f"organization-{begin + number}",
                "tier": "free",
                "placement": {"mode": "pooled", "database": "bench_data"},
                "created_at": now,
            }
            for number, one in enumerate(ids[begin : begin + BATCH])
        )
    for one in ids[:DEDICATED]:
        place = {"mode": "dedicated", "database": "bench_data"}
        services.control.organizations.update_one({"_id": one}, {"$set": {"placement": place}})
        services.registry.prepare(one, services.registry.get(one, fresh=True).placement)
        services.scope(one)[ROLLUPS].insert_many(list(rollups(chance)))
    pooled = services.control._client["bench_data"]["ticket_rollups"]  # noqa: SLF001 (filled as no job would)
    made = ({**one, "org_id": org_id} for org_id in ids[DEDICATED:] for one in rollups(chance))
    while batch := list(islice(made, BATCH)):
        pooled.insert_many(batch)
    for one in ids:
        services.control.users.insert_many(
            {"_id": new_id(), "org_id": one, "email": f"{at}@d{at}.example", "email_domain": f"d{at}.example"}
            for at in range(PEOPLE)
        )
        services.control.jobs.insert_many(
            {
                "_id": new_id(),
                "org_id": one,
                "state": "succeeded",
                "created_at": now,
                "run_at": None,
                "started_at": now,
            }
            for _ in range(JOBS)
        )
    return ids


def rollups(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Make the rollups of a year: a few of 64 days, and many of days that nobody has to read."""
    for span, many in ((64, BLOCKS), (1, DAYS)):
        for block in range(many):
            counts = {"total": chance.randrange(1_000), "status:open": 5}
            yield {
                "_id": new_id(),
                "source_id": None,
                "span": span,
                "block": block,
                "cells": {"0": {"counts": counts}},
            }


def census(services: Services, run_id: str) -> tuple[float, int]:
    """Measure all batches as the job does; return how long it took, and how many documents were examined."""
    before = examined(services)
    began = time.perf_counter()
    for batch in services.census.batches():
        services.platform_totals.keep(services.platform_totals.measure(run_id, batch))
    return time.perf_counter() - began, examined(services) - before


def each(services: Services, org_ids: list[OrgId]) -> tuple[float, int]:
    """Ask every organization for the same, through its scope."""
    total, began = 0, time.perf_counter()
    for org_id in org_ids:
        scope = services.scope(org_id)
        total += one_total(scope)
        scope[SOURCES].count_documents({"deleted_at": None})
        scope[FILES].count_documents({})
        mine = {"org_id": org_id}
        services.control.users.count_documents(mine)
        services.control.usage_storage.find_one({"_id": org_id})
        list(services.control.usage.find(mine))
        list(services.control.jobs.find(mine, {"started_at": 1, "created_at": 1, "run_at": 1}).sort("_id", -1))
    return time.perf_counter() - began, total


def one_total(scope: OrgScope) -> int:
    """Return the tickets of one organization."""
    steps: list[dict[str, Any]] = [
        {"$match": {"source_id": None, "span": 64}},
        {"$group": {"_id": None, "n": {"$sum": "$cells.0.counts.total"}}},
    ]
    waiting = list(scope[DELTAS].find({}, projection={"parts.counts.total": 1}))
    return sum(one["n"] for one in scope[ROLLUPS].aggregate(steps)) + len(waiting)


def examined(services: Services) -> int:
    """Return how many documents the server has examined for queries."""
    status = services.control._client.admin.command("serverStatus")  # noqa: SLF001 (a bench looks at the server)
    return int(status["metrics"]["queryExecutor"]["scannedObjects"])


if __name__ == "__main__":
    sys.exit(main())
