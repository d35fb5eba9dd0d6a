"""Looking at a job that has ended, with contract and limits on, against plain Flask and `AsyncResult`.

Ours verifies the token, takes a tenth of a permit, reads with a majority from the primary and answers with the
whole job; plain reads one key of Redis. Load: 16 connections by wrk, on the same cores.
"""

import re
import shutil
import subprocess
import sys
import tempfile

from bench.accept import SECONDS, SERVERS, command, log, make_person, sign_in, wait_for
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
    from bench.accept import PEOPLE

    made.empty()
    port = free_port()
    environment = made.environment()
    slug = make_person(environment)
    job_id = run(_ENDED, environment, PEOPLE["email"])
    with child(command(server, "web.server:application", port, threads, made="ours"), environment, log(made)):
        token = sign_in(slug, f"http://127.0.0.1:{port}")
        return load(f"http://127.0.0.1:{port}/v1/jobs/{job_id}", token)


def plain(made: Rig, server: str, threads: int) -> float:
    """Return plain Flask's looks a second."""
    made.empty()
    port = free_port()
    task_id = run(_PLAIN, made.environment())
    with child(command(server, "plain:app", port, threads, made="plain"), made.environment(), log(made)):
        wait_for(f"http://127.0.0.1:{port}/")
        return load(f"http://127.0.0.1:{port}/jobs/{task_id}", "none")


def run(script: str, environment: dict[str, str], *arguments: str) -> str:
    """Run a script in a process of its own; return the last line it prints."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def load(url: str, token: str) -> float:
    """Return the answers of 2xx a second. Raises `RuntimeError` if there were others."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK % token)
        script.flush()
        for seconds in (1, SECONDS):  # the first second warms up
            done = subprocess.run(
                ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", script.name, url],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
    if "Non-2xx" in done:
        raise RuntimeError(done)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    main()
