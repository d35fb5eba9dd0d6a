"""A report of all tickets as CSV against a bare loop from a cursor to a file; and how much memory each takes.

Each side runs in a process of its own, whose peak is told by the kernel. `BENCH_ROWS` makes it smaller.
"""

import csv
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from pymongo import MongoClient

from bench.rig import HERE, ROOT, Rig, rig
from bench.ticket_listing import make_organization
from bench.ticket_statistics import BATCH, BEGIN, DAYS, tickets
from common.analytics.export_report import ExportReport
from common.caller import Caller
from common.ids import OrgId
from common.services import Services
from common.tenancy.scope import OrgScope
from common.tickets.collections import TICKETS
from common.tickets.fields import MESSAGE_MAX_CHARS
from workers.analytics.reporting.tickets import FIELDS

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
ROUNDS = 3
BAR, PEAK_BAR_MB = 0.6, 200.0
TEXT = (
    "I ordered a fortnight ago and have heard nothing since. Please tell me where it is, or send the money back. "
)
assert len(TEXT) < MESSAGE_MAX_CHARS


def main() -> int:
    """Fill, write the same rows both ways in turn, and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        org_id = make_organization(services)
        fill(services.scope(org_id))
        found = [(side(made, "ours", org_id), side(made, "plain", org_id)) for _ in range(ROUNDS)]
        ratios = [plain["took_s"] / ours["took_s"] for ours, plain in found]
        peak_mb = max(ours["peak_mb"] for ours, _ in found)
        over_mb = max(ours["peak_mb"] - ours["before_mb"] for ours, _ in found)
        theirs_mb = max(plain["peak_mb"] for _, plain in found)
        ours_s, plain_s = (median(one[at]["took_s"] for one in found) for at in (0, 1))
        size_mb = found[0][0]["size"] / 1e6
        print(f"a report of {ROWS:,} tickets as csv, {size_mb:.0f} MB: {ours_s:.1f} s against {plain_s:.1f} s")
        print(f"of the bare loop's speed: {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}); bar {BAR:g}")
        print(
            f"peak memory: {peak_mb:.0f} MB, of which {over_mb:.0f} MB while it wrote; bar {PEAK_BAR_MB:g};"
            f" the bare loop {theirs_mb:.0f} MB"
        )
        return int(median(ratios) < BAR or peak_mb > PEAK_BAR_MB)


def fill(scope: OrgScope) -> None:
    """Put tickets there as no job would."""
    made = tickets(ROWS)
    while batch := list(islice(made, BATCH)):
        for one in batch:
            one |= {"subject": "Where is my order?", "message": TEXT, "tags": ["delivery"], "channel": "email"}
            one |= {"attributes": {"order": one["natural_key"]}, "updated_at": one["created_at"]}
        scope[TICKETS].insert_many(batch)


def side(made: Rig, which: str, org_id: str) -> dict[str, float]:
    """Run one side in a process of its own; nobody ends the jobs of earlier rounds, so they are forgotten."""
    made.empty()
    done = subprocess.run(
        [sys.executable, "-m", "bench.export_report", which, org_id],
        env=made.environment(PYTHONPATH=os.pathsep.join(map(str, (ROOT, HERE))), BENCH_ROWS=str(ROWS)),
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    names = ("took_s", "before_mb", "peak_mb", "size")
    return dict(zip(names, map(float, done.stdout.split()[-4:]), strict=True))


def ours(org_id: OrgId) -> Callable[[], int]:
    """Return what does the job as a worker does, and returns the size of the file."""
    from common.config import current
    from workers import runner
    from workers.context import Context

    runner.discover()
    services = Services(current())
    services.control.jobs.find_one({"_id": ""})  # connected, as a worker is
    who = Caller(org_id=org_id, user_id="bench", role="admin", request_id="bench")
    job = ExportReport(report="tickets", format="csv", start=BEGIN, end=BEGIN + timedelta(days=DAYS))
    services.submit(who, job)
    (member,) = services.lanes.take("analytics", "1-1", linger_s=0, hold_s=3_600)

    def work() -> int:
        claimed = services.jobs.claim(member, "bench")
        assert claimed is not None
        outcome = runner.run(claimed, Context(services, claimed))
        assert outcome.ending == "succeeded", outcome
        (report,) = services.reports.page(org_id, before=None, limit=1)
        assert report.rows == ROWS
        return report.size_bytes

    return work


def plain(org_id: OrgId) -> Callable[[], int]:
    """Return what writes each document of a cursor to a file, column by column, and returns its size."""
    folder = Path(os.environ["FAIRWAY_DATA_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plain.csv"
    client: MongoClient[Any] = MongoClient(os.environ["FAIRWAY_MONGO_URL"], tz_aware=True)
    tickets = client["bench_data"]["tickets"]
    tickets.find_one({"_id": ""})
    where = {
        "org_id": org_id,
        "created_at": {"$gte": BEGIN, "$lt": BEGIN + timedelta(days=DAYS)},
        "deleted_at": None,
    }

    def work() -> int:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(FIELDS)
            for one in tickets.find(where, dict.fromkeys(FIELDS, 1)).sort([("created_at", 1), ("_id", 1)]):
                writer.writerow([one.get(name) for name in FIELDS])
            file.flush()
            os.fsync(file.fileno())
        return path.stat().st_size

    return work


def one_side(which: str, org_id: OrgId) -> None:
    """Measure one side in this process, and print what it took."""
    work = {"ours": ours, "plain": plain}[which](org_id)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    size = work()
    took_s = time.perf_counter() - began
    print(took_s, before_mb, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, size)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        one_side(sys.argv[1], OrgId(sys.argv[2]))
    else:
        sys.exit(main())
