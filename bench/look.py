"""Looking at a job that has ended, with contract and limits on, against plain Flask and `AsyncResult`.

Ours verifies the token, takes a tenth of a permit, reads with a majority from the primary and answers with the
whole job; plain reads one key of Redis. Load: 16 connections by wrk, on the same cores.
"""

import shutil
import subprocess
import sys

from bench.accept import PEOPLE, SERVERS, command, log, make_person, rate, sign_in, wait_for
from bench.rig import Rig, child, free_port, pairs, report, rig

WRK = 'wrk.headers["Authorization"] = "Bearer %s"\n'
_ENDED = """
import sys
from bench.submit import services
from common.bench.do_nothing import DoNothing
from common.caller import Caller
import pymongo
from common.config import load
from common.services import Services
made = Services(load(), process="bench")
person = made.control.users.find_one({"email": sys.argv[1]}, sort=[("_id", -1)])
who = Caller(org_id=person["org_id"], user_id="bench", role="admin", request_id="bench")
job = made.submit(who, DoNothing(number=1, note="x"))
claimed = made.jobs.claim(job.entry.member, "bench")
made.jobs.succeed(claimed, {"rows": 10, "new": 10})
print(job.id)
"""
_PLAIN = """
from plain import tasks
import uuid
one = str(uuid.uuid4())
tasks.backend.store_result(one, {"rows": 10, "new": 10}, "SUCCESS")
print(one)
"""


def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        print("look: skipped, there is no wrk (apt-get install wrk)")
        return
    with rig() as made:
        for name, (server, threads) in SERVERS.items():
            found = pairs(
                lambda server=server, threads=threads: ours(made, server, threads),
                lambda server=server, threads=threads: plain(made, server, threads),
            )
            report(f"look over HTTP, limits on, {name}", found, "req/s", ">= 0.8")


def ours(made: Rig, server: str, threads: int) -> float:
    """Return our looks a second."""
    made.empty()
    port = free_port()
    environment = made.environment()
    slug = make_person(environment)
    job_id = run(_ENDED, environment, PEOPLE["email"])
    with child(command(server, "web.server:application", port, threads, made="ours"), environment, log(made)):
        token = sign_in(slug, f"http://127.0.0.1:{port}")
        return rate(f"http://127.0.0.1:{port}/v1/jobs/{job_id}", WRK % token)


def plain(made: Rig, server: str, threads: int) -> float:
    """Return plain Flask's looks a second."""
    made.empty()
    port = free_port()
    task_id = run(_PLAIN, made.environment())
    with child(command(server, "plain:app", port, threads, made="plain"), made.environment(), log(made)):
        wait_for(f"http://127.0.0.1:{port}/")
        return rate(f"http://127.0.0.1:{port}/jobs/{task_id}", WRK % "none")


def run(script: str, environment: dict[str, str], *arguments: str) -> str:
    """Run a script in a process of its own; return the last line it prints."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


if __name__ == "__main__":
    main()
