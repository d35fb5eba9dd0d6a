"""A job's changes as they happen (server-sent events): what it is now, then what becomes of it, until it ends.

An event's id says two things: the last entry of the job's stream that it stands for, and a mark of the state that
the caller knows by then. Whoever comes back with it is told what it missed, and nothing twice. The record is
looked at again with each heartbeat, so that a change that nobody said, or that Redis lost, still arrives.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson
from flask import Response, current_app, request

from common.caller import Caller
from common.errors import NotFound, Unavailable
from common.ids import JobId, OrgId
from common.jobs.live import GAP_S
from common.jobs.record import JobRecord, Progress
from common.services import Services
from web.contract import stopping
from web.contract.authentication import ANYONE, caller, lasting, requires
from web.contract.json_bodies import Blueprint
from web.contract.limits import a_look
from web.contract.places import FULL_RETRY_S, Places, places
from web.contract.services import services
from web.job_document import EXAMPLE, progress_document
from web.live import Change, Reader, Subscription
from web.standings import show

blueprint = Blueprint("job events", __name__, tag="Jobs", scope="jobs")

MEDIA_TYPE = "text/event-stream"
FIRST_LOOK_S = 3 * GAP_S
WITHOUT_REDIS_S = 5.0
ASK_S = 2.0
"""How often a stream asks whether the credential that opened it still holds."""
RECONNECT_MS = 2_000
_KNOWN = re.compile(r"([0-9]{1,15}-[0-9]{1,10})\.([0-9a-f]{16})\Z")

_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "the id of the last event that was seen: what came after it is sent; ignored if not ours",
}
_EVENT = {
    "type": "object",
    "description": "one event",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "for `Last-Event-ID`"},
        "event": {"enum": ["state", "progress"]},
        "data": {"type": "string", "description": "JSON: of `state` the job, of `progress` its progress"},
    },
}
_EXAMPLE = (
    f"retry: {RECONNECT_MS}\n\n"
    f"id: 1769851800120-0.9b7a2f6d5e4c3b2a\nevent: state\ndata: {orjson.dumps(EXAMPLE).decode()}\n\n"
    "id: 1769851801000-0.9b7a2f6d5e4c3b2a\nevent: progress\n"
    'data: {"done":5000,"total":10000,"stage":"reading","percent":50.0}\n\n'
    ": heartbeat\n\n"
)


@blueprint.route("/v1/jobs/<id:job_id>/events", methods=["GET"])
@a_look
@requires(*ANYONE, "job")
@blueprint.response(200, _EVENT, content_type=MEDIA_TYPE, example=_EXAMPLE)
@blueprint.alt_response(204, description="The job has ended, and `Last-Event-ID` says that the caller knows how")
@blueprint.doc(parameters=[_LAST_EVENT_ID])
def stream_job_events(job_id: str) -> Response:
    """Stream a job's changes: `state` with the whole job, at first and at each change, and `progress` between.

    The stream ends with the job, and with the credential that it was opened with. At most 50 are open in an
    organization.
    """
    who = caller()
    if who.role == "job" and who.only_job != job_id:
        raise NotFound("There is no such job.")
    record = services().jobs.get(who.org_id, job_id)
    known = _Known.read(request.headers.get("Last-Event-ID", ""))
    if known is not None and record.is_final and known.mark == _mark(record):
        return Response(status=204)
    if request.method == "HEAD":
        return Response(content_type=MEDIA_TYPE)
    stream = _Stream(services(), _reader(), places(), who=who, record=record, known=known, holds=lasting())
    response = Response(stream, content_type=MEDIA_TYPE)
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(stream.close)
    return response


class _Known(NamedTuple):
    """What an event's id says of who has seen it."""

    entry: str
    mark: str

    @classmethod
    def read(cls, text: str) -> "_Known | None":
        """Read a `Last-Event-ID`; what is none of ours says nothing."""
        found = _KNOWN.match(text)
        return cls(found[1], found[2]) if found else None


class _Stream:
    """The events of one stream; it may be closed from any thread and before its first event."""

    def __init__(
        self,
        made: Services,
        reader: Reader,
        waiting: Places,
        *,
        who: Caller,
        record: JobRecord,
        known: _Known | None,
        holds: Callable[[], bool],
    ) -> None:
        if not waiting.sit():
            raise Unavailable("This process bears no more streams. Try again.", retry_after_s=FULL_RETRY_S)
        self._made = made
        self._reader = reader
        self._waiting = waiting
        self._org_id = who.org_id
        self._job_id = JobId(record.id)
        self._done = (0, 0)
        self._holds = holds
        self._asks_at = time.monotonic() + ASK_S
        self._is_open = True
        try:
            self._subscription = reader.open(OrgId(who.party), self._job_id, known=known.entry if known else None)
        except BaseException:
            waiting.rise()
            raise
        self._entry = self._subscription.after
        # Where what was missed is no longer there, the job is told as it is now.
        self._told = known.mark if known is not None and known.entry == self._entry else ""
        lasts_s = made.settings.stream_s
        if who.expires_at is not None:
            lasts_s = max(0.0, min(lasts_s, who.expires_at - made.clock.now().timestamp()))
        self._ends_at = time.monotonic() + lasts_s

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield f"retry: {RECONNECT_MS}\n\n".encode()
            yield from self._events(self._subscription)
        finally:
            self.close()

    def close(self) -> None:
        """Give back what the stream holds; safe to repeat."""
        if self._is_open:
            self._is_open = False
            self._reader.close(self._subscription)
            self._waiting.rise()

    def _events(self, source: Subscription) -> Iterator[bytes]:
        # The first look again comes soon: who changes the job may not know yet that somebody watches.
        is_over, event = self._look()
        yield from event
        looks_at = time.monotonic() + FIRST_LOOK_S
        while not is_over and not source.closing and self._may_go_on():
            change = source.wait(min(looks_at, self._ends_at, self._asks_at) - time.monotonic())
            event = []
            if change is not None and change.progress is not None:
                event = self._progress(change)
            elif change is not None:
                self._entry = change.entry
                is_over, event = self._look()
            elif time.monotonic() >= looks_at:
                is_over, event = self._look()
                event = event or [b": heartbeat\n\n"]
                beat_s = self._made.settings.heartbeat_s
                looks_at = time.monotonic() + (beat_s if source.is_live else min(beat_s, WITHOUT_REDIS_S))
            yield from event

    def _may_go_on(self) -> bool:
        """Tell whether the process, the time and the credential of the stream last."""
        now = time.monotonic()
        if stopping.is_asked() or now >= self._ends_at:
            return False
        if now >= self._asks_at:
            self._asks_at = now + ASK_S
            return self._holds()
        return True

    def _look(self) -> tuple[bool, list[bytes]]:
        """Look at the record; tell whether the stream is over, and what is new to the caller."""
        try:
            record = self._made.jobs.get(self._org_id, self._job_id)
        except NotFound:
            return True, []
        mark = _mark(record)
        if mark == self._told:
            return record.is_final, []
        self._told = mark
        self._done = (record.run, record.progress.done)
        return record.is_final, [self._event("state", show(self._made.lanes, record))]

    def _progress(self, change: Change) -> list[bytes]:
        """Return the event, unless a look at the record has told more already."""
        self._entry = change.entry
        progress = Progress(**(change.progress or {}))
        if (self._done[0], progress.done) < self._done:
            return []
        self._done = (self._done[0], progress.done)
        return [self._event("progress", progress_document(progress))]

    def _event(self, name: str, data: Any) -> bytes:
        head = f"id: {self._entry}.{self._told}\nevent: {name}\ndata: ".encode()
        return head + orjson.dumps(data) + b"\n\n"


def _mark(record: JobRecord) -> str:
    """Return a mark of all of the record that a change of state can change."""
    waits = record.waiting_for or {}
    state = [record.state, record.run, record.attempt, record.losses, record.cancel_requested]
    told = [*state, waits.get("reason"), str(waits.get("until"))]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]


def _reader() -> Reader:
    found = current_app.extensions.get("fairway.live")
    if found is None:
        made = services()
        reader = Reader(made.live, made.streams)
        found = current_app.extensions.setdefault("fairway.live", reader)
    return found  # type: ignore[no-any-return]
