"""Structured logs: one event a line with its fields; what is bound to a request or a job goes with every line."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

SECRET_WORDS = ("password", "token", "secret", "authorization", "credential")


def configure(*, process: str, as_json: bool, level: str = "INFO") -> None:
    """Set up logging of this process, once; *process* is its name in every line."""
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _withhold_secrets,
        structlog.processors.format_exc_info,
    ]
    # A console line is read by people: no colours, because lines are piped through the supervisor.
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[*steps, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=level, stream=sys.stdout, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s")
    structlog.contextvars.bind_contextvars(process=process)


def _withhold_secrets(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Mapping[str, Any]:
    for name in event:
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "withheld"
    return event


def get_logger() -> Any:
    """Return the logger of this process."""
    return structlog.get_logger()


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Put *fields* on every line until the end of the block."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
