"""Accepting a job, over HTTP with contract and limits, and in process, against plain Flask and `delay()`.

Ours parses strictly, checks the schema, verifies the token, writes the record with a majority, admits it and
answers with a job; plain checks one field and enqueues. Load: 16 connections by wrk, on the same cores.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from bench.rig import Rig, child, free_port, pairs, report, rig, until

SECONDS = 3
WRK = (
    'wrk.method = "POST"\nwrk.body = %s\nwrk.headers["Content-Type"] = "application/json"\n'
    'wrk.headers["Authorization"] = "Bearer %s"\n'
)
PEOPLE = {"email": "bench@bench.example", "password": "only for the benchmark"}
_OURS = "from bench.submit import submit_many; print(submit_many(8000, tenants=20))"
_PLAIN = """
import threading, time
from plain import noop
def some():
    for number in range(500): noop.delay(number)
threads = [threading.Thread(target=some) for _ in range(16)]
started = time.perf_counter()
for one in threads: one.start()
for one in threads: one.join()
print(8000 / (time.perf_counter() - started))
"""
SERVERS = {
    "granian, 16 threads": ("granian", 16),
    "gunicorn, 16 threads": ("gunicorn", 16),
}


def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        print("accept: skipped, there is no wrk (apt-get install wrk)")
        return
    with rig() as made:
        for name, (server, threads) in SERVERS.items():
            found = pairs(
                lambda server=server, threads=threads: ours(made, server, threads),
                lambda server=server, threads=threads: plain(made, server, threads),
            )
            report(f"accept over HTTP, limits on, {name}", found, "req/s", ">= 0.9 under the better")
        found = pairs(lambda: in_process(made, _OURS), lambda: in_process(made, _PLAIN))
        report("accept in process, 16 threads", found, "jobs/s", ">= 2.5")


def ours(made: Rig, server: str, threads: int) -> float:
    """Return our accepted jobs a second."""
    made.empty()
    port = free_port()
    environment = made.environment()
    slug = make_person(environment)
    with child(command(server, "web.server:application", port, threads, made="ours"), environment, log(made)):
        token = sign_in(slug, f"http://127.0.0.1:{port}")
        return load(f"http://127.0.0.1:{port}/v1/bench/jobs", token)


def in_process(made: Rig, script: str) -> float:
    """Return the jobs a second that one process with 16 threads accepts."""
    made.empty()
    environment = made.environment()
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def plain(made: Rig, server: str, threads: int) -> float:
    """Return plain Flask's enqueued tasks a second."""
    made.empty()
    port = free_port()
    with child(command(server, "plain:app", port, threads, made="plain"), made.environment(), log(made)):
        wait_for(f"http://127.0.0.1:{port}/")
        return load(f"http://127.0.0.1:{port}/jobs", "none")


def command(server: str, target: str, port: int, threads: int, *, made: str) -> list[str]:
    """Return the server's command line: two processes, so many threads each."""
    is_factory = made == "ours"
    if server == "gunicorn":
        application = f"{target}()" if is_factory else target
        options = ["-w", "2", "-k", "gthread", "--threads", str(threads), "--keep-alive", "30"]
        return [sys.executable, "-m", "gunicorn", *options, "-b", f"127.0.0.1:{port}", application]
    options = ["--interface", "wsgi", "--workers", "2", "--blocking-threads", str(threads), "--no-log"]
    options += ["--backpressure", str(max(512, threads))]
    options += ["--factory"] if is_factory else []
    return [sys.executable, "-m", "granian", *options, "--host", "127.0.0.1", "--port", str(port), target]


def make_person(environment: dict[str, str]) -> str:
    """Make an organization, with quotas that no load reaches, and a person in it; return its slug."""
    script = (
        "import sys; from bench.submit import services, organization, person; made = services()\n"
        "much = 10**7; quotas = dict(requests_a_minute=much, requests_an_hour=much, waiting=much)\n"
        "made.tiers.change('enterprise', quotas)\n"
        "caller = organization(made); print(person(made, caller, sys.argv[1], sys.argv[2]))"
    )
    arguments = (PEOPLE["email"], PEOPLE["password"])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def sign_in(slug: str, url: str) -> str:
    """Sign in, and return the token."""
    wait_for(f"{url}/healthz")
    answer = httpx.post(f"{url}/v1/auth/token", json={"organization": slug, **PEOPLE}, timeout=10)
    return str(answer.json()["access_token"])


def load(url: str, token: str) -> float:
    """Return the accepted jobs a second."""
    body = json.dumps(json.dumps({"number": 1, "note": "a job that does nothing"}))
    return rate(url, WRK % (body, token))


def rate(url: str, script: str) -> float:
    """Return the answers of 2xx a second that wrk gets by *script*. Raises `RuntimeError` if there were others."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        for seconds in (1, SECONDS):  # the first second warms up
            done = subprocess.run(
                ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", file.name, url],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
    if "Non-2xx" in done:
        raise RuntimeError(done)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done)
    return float(found[1]) if found else 0.0


def wait_for(url: str) -> None:
    """Return once *url* answers anything."""

    def answers() -> bool:
        try:
            httpx.get(url, timeout=1)
        except httpx.HTTPError:
            return False
        return True

    until(answers, 30, url)


def log(made: Rig) -> Path:
    """Return where the servers write."""
    return made.folder / "http.log"


if __name__ == "__main__":
    main()
