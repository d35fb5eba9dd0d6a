"""Each layer's share of a POST that accepts a job, in microseconds: one request after another, in one process.

A layer's time is its own: what it calls in another layer counts there.
"""

import functools
import io
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import orjson

from bench.rig import rig
from common import logs
from common.services import Services

REQUESTS = 1_500
WARM = 300
_stack: list[list[float]] = []
_spent: dict[str, list[float]] = defaultdict(list)
_now: dict[str, float] = defaultdict(float)


def timed(layer: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return *call*, whose own time counts for *layer*."""

    @functools.wraps(call)
    def run(*arguments: Any, **options: Any) -> Any:
        inner = [0.0]
        _stack.append(inner)
        started = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            took = time.perf_counter() - started
            _stack.pop()
            _now[layer] += took - inner[0]
            if _stack:
                _stack[-1][0] += took

    return run


def main() -> None:
    """Measure and print."""
    logs.configure(process="bench", as_json=True, level="WARNING")
    with rig() as made:
        services = Services(made.settings(), process="api")
        services.prepare()
        app, ask = prepared(services)
        for number in range(WARM + REQUESTS):
            _now.clear()
            ask(app)
            if number >= WARM:
                for layer, took in _now.items():
                    _spent[layer].append(took)
        services.close()
    show()


def prepared(services: Services) -> tuple[Any, Callable[[Any], None]]:
    """Return the application with a clock in each layer, and the function that asks it."""
    from bench.submit import organization, person_of
    from common.jobs.committer import Committer
    from web import job_document
    from web.contract import authentication, json_bodies, limits, places, replies, request_ids

    for owner, name, layer in (
        (request_ids, "_take", "request id, trace and log"),
        (request_ids, "_echo", "request id, trace and log"),
        (places, "_enter", "places"),
        (places, "_leave", "places"),
        (limits, "_count", "limits"),
        (limits, "_show", "limits: headers"),
        (authentication, "_read", "token"),
        (json_bodies, "read_json", "reading the body"),
        (json_bodies.StrictParser, "parse", "schema"),
        (replies, "one", "answer as JSON"),
        (job_document, "dump", "answer as JSON"),
    ):
        setattr(owner, name, timed(layer, getattr(owner, name)))
    bench_jobs = sys.modules.get("web.bench_jobs")
    if bench_jobs is not None:
        bench_jobs.dump = job_document.dump  # type: ignore[attr-defined]
    from web.app import create_app

    app = create_app(services)
    limiter = limits.Limits
    limiter.take = timed("limits: Redis", limiter.take)  # type: ignore[method-assign]
    services.submitter.submit = timed("submit", services.submitter.submit)  # type: ignore[method-assign]
    Committer.insert = timed("MongoDB: the record", Committer.insert)  # type: ignore[method-assign]
    services.lanes.admit_all_soon = timed("Redis: admission", services.lanes.admit_all_soon)  # type: ignore[method-assign]
    services.tiers.change("enterprise", dict.fromkeys(("requests_a_minute", "requests_an_hour", "waiting"), 10**7))
    who = organization(services)
    token = services.sessions.begin(person_of(services, who.org_id)).access_token
    body = orjson.dumps({"number": 1, "note": "a job that does nothing"})
    whole = timed("Flask, routing and headers", app.wsgi_app)

    def ask(_: Any) -> None:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/v1/bench/jobs",
            "SERVER_NAME": "x",
            "SERVER_PORT": "1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "x",
            "HTTP_AUTHORIZATION": f"Bearer {token}",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
        }
        statuses: list[str] = []
        answer = whole(environ, lambda status, *_: statuses.append(status))
        b"".join(answer)
        answer.close()
        if statuses != ["202 ACCEPTED"]:
            raise RuntimeError(str(statuses))

    return app, ask


def show() -> None:
    """Print the table, the dearest first."""
    medians = {layer: statistics.median(took) * 1e6 for layer, took in _spent.items()}
    total = sum(medians.values())
    print(f"layers of a POST, alone in its process: {total:.0f} µs")
    for layer, took in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"  {layer:28} {took:7.1f} µs  {took / total:5.1%}")


if __name__ == "__main__":
    main()
