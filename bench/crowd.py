"""A crowd of users by Locust on the whole stack: as many as two cores carry, and how long they wait.

More and more users until the answers' P95 is over the target or errors come; the last step below is printed beside
the targets.
"""

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rig import HERE
from common.config import Settings
from common.ids import OrgId, new_id
from common.organizations.passwords import hash_password
from common.services import Services
from deploy.local.servers import free_port
from deploy.local.stack import Stack

STEPS = (20, 40, 60, 80, 120)
ARRIVING = 4
"""Users that come a second."""
SECONDS = int(os.environ.get("CROWD_SECONDS", "20"))
ORGANIZATIONS = 10
P95_MS = 400.0
ERRORS = 0.001
PASSWORD = "only for the benchmark"  # noqa: S105 (of servers that end with it)
TARGETS = {"sign in": 200.0, "look up": 100.0, "create": 500.0}
Row = dict[str, Any]


def main() -> None:
    """Measure and print."""
    with for_crowds() as (stack, folder):
        logins = make_people(stack.settings)
        carried: list[Row] = []
        for users in STEPS:
            rows = crowd(stack.url, logins, users, folder)
            total = rows[-1]
            told = f"{total['rate']:7.1f} requests/s, P95 {total['p95']:5.0f} ms, errors {total['errors']:.3%}"
            print(f"crowd: {users:4} users: {told}", flush=True)
            if total["p95"] > P95_MS or total["errors"] > ERRORS:
                break
            carried = rows
    show(carried)


@contextmanager
def for_crowds() -> Iterator[tuple[Stack, str]]:
    """Run the whole stack with limits that one address of a crowd does not reach, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fairway-crowd-") as folder:
        settings = Settings(
            data_dir=Path(folder) / "data",
            http_port=free_port(),
            flower_port=free_port(),
            metrics_port=free_port(),
            log_level="WARNING",
            address_requests_per_minute=1_000_000,
            attempts_per_minute=1_000_000,
            account_attempts_per_minute=1_000_000,
        )
        stack = Stack(settings, lambda *_: None)
        stack.start()
        try:
            stack.wait_ready()
            yield stack, folder
        finally:
            stack.stop()


def make_people(settings: Settings) -> str:
    """Make organizations with quotas that no crowd reaches, and a person in each; return their logins."""
    services = Services(settings)
    much = 10**7
    services.steering.change_tier("enterprise", {"requests_a_minute": much, "requests_an_hour": much})
    hashed = hash_password(PASSWORD)
    logins = []
    for number in range(ORGANIZATIONS):
        org_id, email = OrgId(new_id()), f"crowd{number}@bench.example"
        services.control.organizations.insert_one(
            {
                "_id": org_id,
                "name": f"Crowd {number}",
                "slug": org_id[-12:],
                "tier": "enterprise",
                "placement": {"mode": "pooled", "database": settings.data_databases[0]},
                "created_at": services.clock.now(),
            }
        )
        services.control.users.insert_one(
            {
                "_id": new_id(),
                "org_id": org_id,
                "email": email,
                "password_hash": hashed,
                "role": "admin",
                "created_at": services.clock.now(),
            }
        )
        logins.append(f"{org_id[-12:]},{email}")
    services.close()
    return ";".join(logins)


def crowd(url: str, logins: str, users: int, folder: str) -> list[Row]:
    """Let *users* work for a while; return a row for each kind of request and one for all."""
    environment = {**os.environ, "CROWD_LOGINS": logins, "CROWD_PASSWORD": PASSWORD}
    options = [
        "--headless",
        "-u",
        str(users),
        "-r",
        str(ARRIVING),
        "-t",
        f"{SECONDS + users // ARRIVING}s",
        "-H",
        url,
        "--only-summary",
    ]
    prefix = str(Path(folder) / f"crowd{users}")
    command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), *options, "--csv", prefix]
    subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    with Path(f"{prefix}_failures.csv").open(encoding="utf-8") as file:
        for one in csv.DictReader(file):
            print(f"  failed {one['Occurrences']} times: {one['Method']} {one['Name']}: {one['Error'][:200]}")
    with Path(f"{prefix}_stats.csv").open(encoding="utf-8") as file:
        return [
            {
                "name": one["Name"],
                "rate": float(one["Requests/s"]),
                "mean": float(one["Average Response Time"]),
                "p95": float(one["95%"]),
                "p99": float(one["99%"]),
                "errors": int(one["Failure Count"]) / max(1, int(one["Request Count"])),
            }
            for one in csv.DictReader(file)
        ]


def show(rows: list[Row]) -> None:
    """Print the table beside the targets."""
    print("crowd: targets 500 requests/s, mean 200 ms, P95 400 ms, P99 800 ms, errors 0.1 %")
    for row in rows:
        target = f"target {TARGETS[row['name']]:.0f} ms" if row["name"] in TARGETS else ""
        print(
            f"  {row['name']:14} {row['rate']:7.1f}/s  mean {row['mean']:6.1f}  P95 {row['p95']:6.0f}"
            f"  P99 {row['p99']:6.0f} ms  errors {row['errors']:.3%}  {target}"
        )


if __name__ == "__main__":
    main()
