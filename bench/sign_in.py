"""Signing in under load: what a sign-in costs beside bare argon2, and what it leaves to others' requests."""

import os
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from bench.crowd import for_crowds, make_people
from common.organizations.passwords import hash_password, verify_password
from deploy.local.stack import Stack

PEOPLE, LOOKERS = 8, 4
SECONDS = 15.0
PASSWORD = "only for the benchmark"  # noqa: S105 (of servers that end with it)


def main() -> None:
    """Measure and print."""
    hashed = hash_password(PASSWORD)
    alone = rate(lambda: verify_password(hashed, PASSWORD), threads=os.cpu_count() or 2)
    with for_crowds() as (stack, _):
        measure(stack, alone)


def measure(stack: Stack, alone: float) -> None:
    """Sign in, look, and both; print."""
    logins = [one.split(",") for one in make_people(stack.settings).split(";")]
    with httpx.Client(base_url=stack.url, timeout=60, limits=httpx.Limits(max_connections=64)) as client:
        first = client.post("/v1/auth/token", json=asked(logins[0])).raise_for_status().json()
        headers = {"Authorization": f"Bearer {first['access_token']}"}
        quiet = looked(client, headers)
        ended, times, refused = threading.Event(), list[float](), [0]

        def come(number: int) -> None:
            while not ended.is_set():
                started = time.perf_counter()
                answer = client.post("/v1/auth/token", json=asked(logins[number % len(logins)]))
                if answer.status_code == httpx.codes.OK:
                    times.append(time.perf_counter() - started)
                else:
                    refused[0] += 1

        with ThreadPoolExecutor(PEOPLE) as pool:
            for number in range(PEOPLE):
                pool.submit(come, number)
            busy = looked(client, headers)
            ended.set()
        print(
            f"sign-in, {PEOPLE} at a time: {len(times) / SECONDS:.1f}/s, P95 {p95(times) * 1000:.0f} ms,"
            f" {refused[0]} told to come again; bare argon2 in one process {alone:.1f}/s:"
            f" ratio {len(times) / SECONDS / alone:.2f}"
        )
        print(
            f"sign-in: P95 of a look beside it {p95(busy) * 1000:.1f} ms, alone {p95(quiet) * 1000:.1f} ms:"
            f" ratio {p95(busy) / p95(quiet):.2f}; median {statistics.median(busy) / statistics.median(quiet):.2f}"
        )


def asked(login: list[str]) -> dict[str, str]:
    """Return what that person sends."""
    return {"organization": login[0], "email": login[1], "password": PASSWORD}


def looked(client: httpx.Client, headers: dict[str, str]) -> list[float]:
    """Return how long looks at the jobs took, for some seconds."""
    ends_at, times = time.perf_counter() + SECONDS, list[float]()

    def look() -> None:
        while time.perf_counter() < ends_at:
            started = time.perf_counter()
            client.get("/v1/jobs?limit=1", headers=headers).raise_for_status()
            times.append(time.perf_counter() - started)

    with ThreadPoolExecutor(LOOKERS) as pool:
        for one in [pool.submit(look) for _ in range(LOOKERS)]:
            one.result()
    return times


def rate(work: object, *, threads: int) -> float:
    """Return how often a second so many threads do *work*."""
    ends_at, count = time.perf_counter() + SECONDS / 3, [0] * threads

    def go(number: int) -> None:
        while time.perf_counter() < ends_at:
            work()  # type: ignore[operator]
            count[number] += 1

    with ThreadPoolExecutor(threads) as pool:
        for one in [pool.submit(go, number) for number in range(threads)]:
            one.result()
    return sum(count) / (SECONDS / 3)


def p95(times: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(times)[int(0.95 * len(times))]


if __name__ == "__main__":
    main()
