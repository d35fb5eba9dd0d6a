"""A thousand open streams of jobs' changes: what they do to the time of a POST, and what each of them takes.

The same server with and without them, in turn; load: 16 connections by wrk that submit jobs. Beside it the server
that was not chosen: gunicorn's threads.
"""

import json
import re
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from bench.accept import SECONDS, WRK, command, log, make_person, sign_in
from bench.look import run
from bench.rig import PAIRS, Rig, child, free_port, rig

STREAMS = 1_000
ORGANIZATIONS = 25
SPARE = 64
_WATCHED = """
import sys
from bench.submit import organization, person_of
from common.bench.do_nothing import DoNothing
from common.config import load
from common.services import Services
made = Services(load(), process="bench")
for _ in range(int(sys.argv[1])):
    who = organization(made)
    job = made.submit(who, DoNothing(number=1, note="x"))
    token = made.sessions.begin(person_of(made, who.org_id)).access_token
    print(f"{job.id}|{token}", end=",")
print()
"""


def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        print("streams: skipped, there is no wrk (apt-get install wrk)")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * STREAMS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with rig() as made:
        for server in ("granian", "gunicorn"):
            found = measure(made, server)
            ratios = [loaded / alone for alone, loaded, _ in found]
            alone, loaded = (statistics.median(one[at] for one in found) for at in (0, 1))
            print(
                f"streams, {server:9} p95 of a POST alone {alone:6.1f} ms, with streams {loaded:6.1f} ms,"
                f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})  bar <= 1.5;"
                f" a stream takes {statistics.median(one[2] for one in found):.0f} KiB",
                flush=True,
            )


def measure(made: Rig, server: str) -> list[tuple[float, float, float]]:
    """Return the p95 alone and with streams, in ms, and the KiB a stream takes, so many times."""
    made.empty()
    port = free_port()
    environment = made.environment(FAIRWAY_HTTP_STREAMS=str(STREAMS))
    slug = make_person(environment)
    watched = [one.split("|") for one in run(_WATCHED, environment, str(ORGANIZATIONS * PAIRS)).split(",") if one]
    threads = 16 + STREAMS + SPARE
    url = f"http://127.0.0.1:{port}"
    with child(
        command(server, "web.server:application", port, threads, made="ours"), environment, log(made)
    ) as top:
        token = sign_in(slug, url)
        found = []
        for number in range(PAIRS):
            # Organizations of its own: the server notices with its next heartbeat that somebody has hung up.
            own = watched[number * ORGANIZATIONS : (number + 1) * ORGANIZATIONS]
            alone = p95_ms(f"{url}/v1/bench/jobs", token)
            before = resident_bytes(top.pid)
            with opened(port, own):
                taken = (resident_bytes(top.pid) - before) / STREAMS / 1024
                found.append((alone, p95_ms(f"{url}/v1/bench/jobs", token), taken))
        return found


@contextmanager
def opened(port: int, watched: list[list[str]]) -> Iterator[None]:
    """Hold the streams open; each has told its job's state."""
    with ExitStack() as held:
        for number in range(STREAMS):
            job_id, token = watched[number % len(watched)]
            wire = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            head = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            wire.sendall(head.encode())
            answer = b""
            while b"event: state" not in answer:
                chunk = wire.recv(65_536)
                if not chunk or b"HTTP/1.1 200" not in (answer or chunk):
                    raise RuntimeError((answer + chunk)[:500])
                answer += chunk
        yield


def p95_ms(url: str, token: str) -> float:
    """Return the 95th percentile of accepting a job under load."""
    body = json.dumps(json.dumps({"number": 1, "note": "a job that does nothing"}))
    more = "done = function(summary, latency) print('p95 ' .. latency:percentile(95)) end\n"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK % (body, token) + more)
        script.flush()
        arguments = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "-s", script.name, url]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in done:
        raise RuntimeError(done)
    return float(re.findall(r"p95 ([\d.]+)", done)[0]) / 1000


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and its children."""
    top = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (top, *top.children(recursive=True)))


if __name__ == "__main__":
    main()
