"""The live changes that this process passes on: one reader of Redis for all of its streams."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import orjson
import redis

from common.errors import TooMany, Unavailable
from common.ids import JobId, OrgId, new_id
from common.jobs.live import STREAMS_MOST, Live, stream_key, wake_key
from common.logs import get_logger
from common.metrics import STREAMS, SWALLOWED
from web.contract import stopping

BLOCK_MS = 1_000
GATHER_S = 0.03
RENEW_EVERY_S = 15.0
BEHIND_MOST = 200
READ_MOST = 500
TOO_MANY_RETRY_S = 5
_BEGIN = "0-0"
log = get_logger()


@dataclass(frozen=True)
class Change:
    """A change that was said: *entry* is its id in the job's stream; *progress* is `None` for one of state."""

    entry: str
    progress: Mapping[str, Any] | None


@dataclass(eq=False)
class Subscription:
    """One stream's place in the reader; *after* is the id of what it knows already."""

    org_id: OrgId
    job_id: JobId
    after: str
    is_live: bool
    stream: str = field(default_factory=new_id)
    closing: bool = False
    _inbox: SimpleQueue[Change | None] = field(default_factory=SimpleQueue)

    def wait(self, timeout_s: float) -> Change | None:
        """Return the next change, or `None` when the time is over or the process is asked to stop."""
        try:
            return self._inbox.get(timeout=max(0.0, timeout_s))
        except Empty:
            return None

    def tell(self, change: Change) -> None:
        """Hand over a change that is new to it; progress is left out for one that is far behind."""
        if _place(change.entry) <= _place(self.after):
            return
        self.after = change.entry
        if change.progress is None or self._inbox.qsize() < BEHIND_MOST:
            self._inbox.put(change)

    def end(self) -> None:
        """Let it end now."""
        self.closing = True
        self._inbox.put(None)


class Reader:
    """Reads the streams of all watched jobs, in one thread that runs while anybody watches."""

    def __init__(self, live: Live, client: "redis.Redis") -> None:
        self._live = live
        self._client = client
        self._name = new_id()
        self._lock = threading.Lock()
        self._by_job: dict[JobId, list[Subscription]] = {}
        self._positions: dict[JobId, str] = {}
        self._renewed_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def open(self, org_id: OrgId, job_id: JobId, *, known: str | None) -> Subscription:
        """Watch a job until `close`, from the entry *known* on if that is still there, else from now on.

        Raises `TooMany` if the organization has too many streams open.
        """
        one = Subscription(org_id, job_id, after=_BEGIN, is_live=True)
        try:
            opened = self._live.open(org_id, one.stream, job_id, reader=self._name)
        except Unavailable:
            one.is_live = False
            self._refuse_too_many(org_id)
            self._add(one, after=known or _BEGIN)
            return one
        if opened is None:
            raise _too_many()
        resumes = known is not None and _place(opened.first) <= _place(known) <= _place(opened.last)
        one.after = known if resumes and known is not None else opened.last
        self._add(one, after=one.after)
        return one

    def close(self, one: Subscription) -> None:
        """Stop watching."""
        with self._lock:
            left = [other for other in self._by_job.get(one.job_id, ()) if other is not one]
            if left:
                self._by_job[one.job_id] = left
            else:
                self._by_job.pop(one.job_id, None)
                self._positions.pop(one.job_id, None)
        STREAMS.dec()
        self._live.close_stream(one.org_id, one.stream)

    def _add(self, one: Subscription, *, after: str) -> None:
        with self._lock:
            self._by_job.setdefault(one.job_id, []).append(one)
            # The earliest that anybody still needs: what another one knows already, it leaves out by itself.
            known = self._positions.get(one.job_id)
            self._positions[one.job_id] = after if known is None else min(known, after, key=_place)
            if self._thread is None:
                self._thread = threading.Thread(target=self._read_on, name="live reader", daemon=True)
                self._thread.start()
        STREAMS.inc()

    def _refuse_too_many(self, org_id: OrgId) -> None:
        """Count this process's own streams: all that can be known while Redis is away."""
        with self._lock:
            mine = sum(one.org_id == org_id for all_of_job in self._by_job.values() for one in all_of_job)
        if mine >= STREAMS_MOST:
            raise _too_many()

    def _read_on(self) -> None:
        woken = "$"
        while not stopping.wait(GATHER_S):
            with self._lock:
                positions = {stream_key(job_id): at for job_id, at in self._positions.items()}
                if not positions:
                    self._thread = None
                    return
            try:
                streams: dict[Any, Any] = {wake_key(self._name): woken, **positions}
                found = self._client.xread(streams, count=READ_MOST, block=BLOCK_MS)
                self._pass_on(found)
                self._renew_if_due()
            except (redis.RedisError, Unavailable) as error:
                SWALLOWED.labels("live.read").inc()
                log.warning("live.without_redis", error=type(error).__name__)
                self._set_live(is_live=False)
                stopping.wait(1.0)
        self._end_all()

    def _pass_on(self, found: Any) -> None:
        for key, entries in found or ():
            job_id = JobId(key.decode().rsplit(":", 1)[-1])
            with self._lock:
                subscribers = list(self._by_job.get(job_id, ()))
                if job_id in self._positions:
                    self._positions[job_id] = entries[-1][0].decode()
            for entry, fields in entries:
                if (change := _change(entry.decode(), fields)) is not None:
                    for one in subscribers:
                        one.tell(change)

    def _renew_if_due(self) -> None:
        with self._lock:
            streams = [one for all_of_job in self._by_job.values() for one in all_of_job]
        is_due = time.monotonic() - self._renewed_at >= RENEW_EVERY_S
        if is_due or not all(one.is_live for one in streams):
            self._live.renew((one.org_id, one.stream, one.job_id) for one in streams)
            self._renewed_at = time.monotonic()
            self._set_live(is_live=True)

    def _set_live(self, *, is_live: bool) -> None:
        with self._lock:
            for all_of_job in self._by_job.values():
                for one in all_of_job:
                    one.is_live = is_live

    def _end_all(self) -> None:
        with self._lock:
            for all_of_job in self._by_job.values():
                for one in all_of_job:
                    one.end()


def _change(entry: str, fields: Mapping[bytes, bytes]) -> Change | None:
    """Read an entry; `None` for the one that only marks where a stream begins."""
    match fields.get(b"e"):
        case b"state":
            return Change(entry, None)
        case b"progress":
            return Change(entry, orjson.loads(fields[b"d"]))
        case _:
            return None


def _place(entry: str) -> tuple[int, int]:
    at, _, number = entry.partition("-")
    return int(at), int(number or 0)


def _too_many() -> TooMany:
    return TooMany(
        f"At most {STREAMS_MOST} streams of an organization are open at a time.", retry_after_s=TOO_MANY_RETRY_S
    )
