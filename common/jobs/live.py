"""Live changes of jobs: whoever changes a record says so, and whoever watches the job is told.

Nothing here is the truth: a change that is not said is found by the watcher's next look at the record. While
nobody watches anything, saying so costs a comparison of two numbers, and one call of Redis in `GAP_S` seconds.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from common.coordination.scripts import Script
from common.errors import Unavailable
from common.ids import JobId, OrgId
from common.metrics import SWALLOWED

GAP_S = 0.1
"""How long a process believes that nobody watches: a watcher's first look must be followed by one after this."""
GATHER_S = 0.01
QUIET_S = 1.0
STREAMS_MOST = 50
"""How many streams an organization may have open, in the whole fleet."""
COUNTS_S = 45.0
"""How long a stream counts that is not renewed: its process has died."""
_PREFIX = "fairway:live:"
_WATCHED = f"{_PREFIX}watched"
_BUFFER_MAX = 10_000
_TOGETHER_MAX = 500


@dataclass(frozen=True)
class Opened:
    """The ends of a job's stream as it was opened: what comes after *last* is told; after *first*, kept."""

    first: str
    last: str


class Live:
    """Says what changed, for one process. Calls return at once; a thread of its own does the talking."""

    def __init__(self, client: "redis.Redis") -> None:
        self._script = Script(client, __file__)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._unsaid: deque[tuple[str, str, bytes]] = deque(maxlen=_BUFFER_MAX)
        self._thread: threading.Thread | None = None
        self._nobody_until = 0.0
        self._closing = False

    def changed(self, job_ids: Iterable[JobId]) -> None:
        """Say that these records changed; say it after the write."""
        if time.monotonic() >= self._nobody_until:
            self._say([(job_id, "state", b"") for job_id in job_ids])

    def progressed(self, job_id: JobId, shown: Mapping[str, Any]) -> None:
        """Say how far a job is."""
        if time.monotonic() >= self._nobody_until:
            self._say([(job_id, "progress", orjson.dumps(dict(shown)))])

    def open(self, org_id: OrgId, stream: str, job_id: JobId, *, reader: str) -> Opened | None:
        """Watch a job; `None` if the organization has too many streams open. Raises `Unavailable`."""
        found = self._script(
            [_WATCHED], "open", org_id, stream, job_id, STREAMS_MOST, int(COUNTS_S * 1000), reader
        )
        return Opened(*(one.decode() for one in found)) if found else None

    def renew(self, streams: Iterable[tuple[OrgId, str, JobId]]) -> None:
        """Go on watching these (organization, stream, job). Raises `Unavailable`."""
        flat = [part for stream in streams for part in stream]
        for begin in range(0, len(flat), 3 * _TOGETHER_MAX):
            together = flat[begin : begin + 3 * _TOGETHER_MAX]
            self._script([_WATCHED], "renew", int(COUNTS_S * 1000), *together)

    def close_stream(self, org_id: OrgId, stream: str) -> None:
        """Let another stream have this one's place; where Redis is away it ends by itself."""
        try:
            self._script([_WATCHED], "close", org_id, stream)
        except Unavailable:
            SWALLOWED.labels("live.close").inc()

    def close(self) -> None:
        """Say what was not said yet."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(QUIET_S)

    def _say(self, changes: Iterable[tuple[str, str, bytes]]) -> None:
        self._unsaid.extend(changes)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._talk, name="live", daemon=True)
                    self._thread.start()
        self._wake.set()

    def _talk(self) -> None:
        pause = threading.Event()
        while not self._closing or self._unsaid:
            self._wake.wait()
            if not self._closing:
                pause.wait(GATHER_S)  # for company
            self._wake.clear()
            self._publish()

    def _publish(self) -> None:
        while self._unsaid:
            together = [self._unsaid.popleft() for _ in range(min(len(self._unsaid), _TOGETHER_MAX))]
            flat = [part for change in together for part in change]
            asked_at = time.monotonic()
            try:
                watched = self._script([_WATCHED], "publish", *flat)
            except Unavailable:
                SWALLOWED.labels("live.publish").inc()
                self._unsaid.clear()
                self._nobody_until = time.monotonic() + QUIET_S
                return
            if not watched:
                # From the question on: somebody may watch since then, and looks again `GAP_S` after opening.
                # What was said while it was answered is published too.
                self._nobody_until = asked_at + GAP_S


def stream_key(job_id: JobId) -> str:
    """Return the key of a job's stream."""
    return f"{_PREFIX}job:{job_id}"


def wake_key(reader: str) -> str:
    """Return the key of the stream that interrupts a reader's wait."""
    return f"{_PREFIX}wake:{reader}"
