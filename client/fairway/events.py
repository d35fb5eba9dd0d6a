"""A job's changes as they happen: read from the stream, taken up again where it broke."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import httpx
from httpx_sse import EventSource

from fairway.errors import NotInTime, Problem, Unreachable
from fairway.models import Job, Progress
from fairway.transport import Transport, problem_of

SILENT_S = 60.0
"""How long a stream may say nothing, not even a heartbeat, before it is taken for broken."""
AGAIN_S = 1.0


@dataclass(frozen=True)
class Event:
    """A change: of *state* with the whole job, or of *progress*."""

    kind: Literal["state", "progress"]
    job: Job | None = None
    progress: Progress | None = None


def follow(transport: Transport, job_id: str, *, within_s: float) -> Iterator[Event]:
    """Yield the job's changes until it has ended. Raises `NotInTime`, `Problem` or `Unreachable`."""
    ends_at, last = time.monotonic() + within_s, ""
    while True:
        wait_s = AGAIN_S
        try:
            for seen, event in _read(transport, job_id, last, ends_at):
                last = seen
                yield event
                if event.job is not None and event.job.is_final:
                    return
        except (httpx.TransportError, Unreachable):
            pass  # the stream broke: it is taken up again below
        except Problem as problem:
            if problem.retry_after_s is None:
                raise
            wait_s = problem.retry_after_s
        if time.monotonic() >= ends_at:
            raise NotInTime(job_id, within_s)
        time.sleep(wait_s)


def _read(transport: Transport, job_id: str, last: str, ends_at: float) -> Iterator[tuple[str, Event]]:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    path = f"/v1/jobs/{job_id}/events"
    timeout = httpx.Timeout(10, read=SILENT_S)
    with transport.stream("GET", path, headers, timeout) as answer:
        if not answer.is_success:
            answer.read()
            raise problem_of(answer)
        for one in EventSource(answer).iter_sse():
            if one.event in {"state", "progress"}:
                yield one.id, _event(one.event, one.data)
            if time.monotonic() >= ends_at:
                return


def _event(kind: str, data: str) -> Event:
    document = json.loads(data)
    if kind == "state":
        return Event("state", job=Job.read(document))
    return Event("progress", progress=Progress.read(document))
