"""Events for Flower: each job under its own kind and id, through Celery's dispatcher, many in a message.

A failed attempt shows as FAILURE, a deferral or retry as RETRY, a cancel as REVOKED. Nothing is sent while nobody
listens, and nothing of a payload ever is.
"""

import threading
import time
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from common.jobs.leases import Claimed
from common.metrics import SWALLOWED
from workers.runner import Outcome

LOOK_EVERY_S = 2.0
FLUSH_EVERY_S = 0.25
BUFFER_MAX = 10_000
_LISTENERS = "_kombu.binding.celeryev"


class JobEvents:
    """Sends one child's events; safe to call from its two threads."""

    def __init__(self, app: Celery, hostname: str, client: "redis.Redis") -> None:
        self._app = app
        self._hostname = hostname
        self._client = client
        self._lock = threading.RLock()
        self._dispatcher: Any = None
        self._someone_listens = False
        self._looked_at = -LOOK_EVERY_S
        self._flushed_at = 0.0
        self._unsent = 0

    def started(self, claimed: Claimed) -> None:
        """Say that the job runs."""
        parent_id = claimed.parent_id
        root_id = parent_id or claimed.job_id
        job = {"uuid": claimed.job_id, "name": claimed.kind, "root_id": root_id, "parent_id": parent_id}
        self._send("task-received", **job, args="", kwargs="", retries=claimed.attempt, eta=None, expires=None)
        self._send("task-started", uuid=claimed.job_id)
        self.flush_if_due()

    def ended(self, claimed: Claimed, outcome: Outcome, took_s: float) -> None:
        """Say how the run ended."""
        match outcome.ending:
            case "succeeded":
                self._send("task-succeeded", uuid=claimed.job_id, result="", runtime=took_s)
            case "failed":
                self._send("task-failed", uuid=claimed.job_id, exception=outcome.code, traceback="")
            case "retry" | "deferred" | "waits" | "given_back" | "held":
                shown = outcome.code or outcome.reason or outcome.ending
                self._send("task-retried", uuid=claimed.job_id, exception=shown, traceback="")
            case "cancelled":
                self._send("task-revoked", uuid=claimed.job_id, terminated=False, signum=None, expired=False)
            case "lost":
                return

    def flush_if_due(self) -> None:
        """Send what is buffered, if the last message is long enough ago; so a long job shows while it runs."""
        if self._unsent and time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Send what is buffered. Losing events loses nothing but a look, so an error is only counted."""
        with self._lock:
            if not self._unsent:
                return
            self._flushed_at, self._unsent = time.monotonic(), 0
            try:
                self._dispatcher.flush()
            except (OperationalError, redis.RedisError, OSError):
                SWALLOWED.labels("events.flush").inc()

    def _send(self, event: str, **fields: Any) -> None:
        with self._lock:
            if not self._listens():
                return
            if self._dispatcher is None:
                self._dispatcher = self._connect()
            self._dispatcher.send(event, **fields)
            self._unsent += 1

    def _connect(self) -> Any:
        return self._app.events.Dispatcher(
            connection=self._app.connection_for_write(),
            hostname=self._hostname,
            buffer_group=frozenset({"task"}),
            buffer_limit=BUFFER_MAX,
        )

    def _listens(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            try:
                self._someone_listens = bool(self._client.exists(_LISTENERS))
            except redis.RedisError:
                SWALLOWED.labels("events.look").inc()
                self._someone_listens = False
        return self._someone_listens
