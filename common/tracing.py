"""Traces (W3C trace context): what a request brings goes on in its job; with OpenTelemetry on, both are its spans.

OpenTelemetry is off unless one of its standard variables names an exporter or an endpoint; nothing of it is even
imported then.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_SHAPE = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_SWITCHES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_on() -> bool:
    """Tell whether the environment asks for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return any(os.environ.get(name, "none") not in {"", "none"} for name in _SWITCHES)


def start(process: str) -> None:
    """Set OpenTelemetry up in this process, if it is on: after its fork, before its clients are made."""
    if not is_on():
        return
    from opentelemetry.distro import OpenTelemetryConfigurator
    from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("OTEL_SERVICE_NAME", f"fairway-{process}")
    OpenTelemetryConfigurator().configure()  # type: ignore[no-untyped-call] # it ships no types
    PymongoInstrumentor().instrument()
    RedisInstrumentor().instrument()


def stop() -> None:
    """Send what was not sent yet: a process that ends without its exit handlers would lose it."""
    if is_on():
        from opentelemetry import trace

        getattr(trace.get_tracer_provider(), "shutdown", lambda: None)()


def sane(traceparent: str | None) -> str | None:
    """Return *traceparent* if it has the form of version 00, else `None`."""
    return traceparent if traceparent is not None and _SHAPE.match(traceparent) else None


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace's id in a sane *traceparent*."""
    return traceparent.split("-")[1] if traceparent is not None else None


def current(given: str | None) -> str | None:
    """Return the context to hand on: that of the span around us, or else what was *given*."""
    if not is_on():
        return given
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return sane(carrier.get("traceparent")) or given


@contextmanager
def span(name: str, traceparent: str | None, **attributes: str) -> Iterator[None]:
    """Make the block a span of that trace; nothing if OpenTelemetry is off."""
    if not is_on():
        yield
        return
    from opentelemetry import trace
    from opentelemetry.propagate import extract

    context = extract({"traceparent": traceparent} if traceparent else {})
    tracer = trace.get_tracer("fairway")
    with tracer.start_as_current_span(
        name, context=context, kind=trace.SpanKind.CONSUMER, attributes=dict(attributes)
    ):
        yield


_DEFAULTS = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
