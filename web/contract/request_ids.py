"""Request ids and traces: taken if sane, an id made if absent, on every log line, and stored with the job."""

import re
import time

import structlog
from flask import Flask, Response, g, request

from common import tracing
from common.ids import new_id
from common.logs import get_logger
from common.metrics import REQUESTS, SLOW
from common.slow import SLOW_S
from web.contract.probes import is_probe

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
log = get_logger()


def register(app: Flask) -> None:
    """Give every request of *app* an id and a line in the log."""
    if tracing.is_on():
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call] # it ships no types
    app.before_request(_take)
    app.after_request(_echo)


def _take() -> None:
    given = request.headers.get(HEADER, "")
    g.request_id = given if _SANE.match(given) else new_id()
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    g.traceparent = tracing.current(tracing.sane(request.headers.get("traceparent")))
    traced = {"trace_id": tracing.trace_id(g.traceparent)} if g.traceparent is not None else {}
    structlog.contextvars.bind_contextvars(process="api", request_id=g.request_id, **traced)


def _echo(response: Response) -> Response:
    response.headers[HEADER] = g.get("request_id", "")
    took_s = time.perf_counter() - g.get("started", time.perf_counter())
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(method, route, response.status_code).observe(took_s)
    write = log.debug if is_probe(route) else log.info
    write("request", method=request.method, route=route, status=response.status_code, took_s=round(took_s, 4))
    if took_s >= SLOW_S and not request.args.get("wait"):
        SLOW.labels("http", route).inc()
        log.warning("request.slow", method=request.method, route=route, took_s=round(took_s, 3))
    return response
