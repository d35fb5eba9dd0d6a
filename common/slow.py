"""Slow operations: logged by their shape, never by their values, and counted."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from pymongo import monitoring

from common.logs import get_logger
from common.metrics import SLOW

SLOW_S = 1.0
_DEEPEST, _LONGEST = 6, 20
_SHOWN = ("filter", "query", "pipeline", "sort", "updates", "deletes", "hint")
_WAITING = frozenset({"BLPOP", "BRPOP", "BLMOVE", "BZMPOP", "XREAD", "XREADGROUP", "SUBSCRIBE"})
log = get_logger()


class SlowCommands(monitoring.CommandListener):
    """Hears of every command to MongoDB; says something of those that took longer than a second."""

    def __init__(self) -> None:
        self._under_way: dict[int, Mapping[str, Any]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Keep the command until it has ended: its shape is made only if it was slow."""
        self._under_way[event.request_id] = event.command

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Look how long it took."""
        self._ended(event)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Look how long it took."""
        self._ended(event)

    def _ended(self, event: "monitoring.CommandSucceededEvent | monitoring.CommandFailedEvent") -> None:
        command = self._under_way.pop(event.request_id, {})
        took_s = event.duration_micros / 1_000_000
        if took_s < SLOW_S:
            return
        SLOW.labels("mongodb", event.command_name).inc()
        log.warning(
            "mongodb.slow",
            command=event.command_name,
            collection=str(command.get(event.command_name, ""))[:100],
            shape={name: shape(command[name]) for name in _SHOWN if name in command},
            took_s=round(took_s, 3),
        )


class WatchedRedis(redis.Redis):
    """A client of Redis that says which of its calls took longer than a second; one that is to wait may."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command. Raises like any client's."""
        started = time.perf_counter()
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # it ships no types here
        finally:
            took_s = time.perf_counter() - started
            if took_s >= SLOW_S and args[0] not in _WAITING:
                SLOW.labels("redis", str(args[0])).inc()
                log.warning("redis.slow", command=str(args[0]), parts=len(args), took_s=round(took_s, 3))


def shape(value: Any, depth: int = 0) -> Any:
    """Return what *value* looks like: its names and operators, with a type where a value was."""
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(name)[:60]: shape(inner, depth + 1) for name, inner in list(value.items())[:_LONGEST]}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        inner = [shape(one, depth + 1) for one in value[:_LONGEST]]
        are_alike = len(value) > 1 and len({str(one) for one in inner}) == 1
        return [inner[0], f"… {len(value)}"] if are_alike else inner
    return type(value).__name__
