"""A source as tests want one: a real server on this machine that pages through records which a test may change.

It answers in the shape that `REST` tells the `rest` connector of. Whatever it is asked goes into `calls`; a test
may answer in its place by `interfere`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

FIRST_AT = datetime(2026, 1, 1, tzinfo=UTC)
REST: dict[str, Any] = {
    "path": "/tickets",
    "records": "/data",
    "fields": {
        "external_id": "/id",
        "customer_id": "/customer",
        "subject": "/subject",
        "message": "/text",
        "status": "/status",
        "created_at": "/created_at",
    },
    "changed_at": "/changed_at",
    "since": {"parameter": "since", "format": "rfc3339"},
    "paging": {"style": "link", "size_parameter": "limit", "total": "/total"},
}
BY_CURSOR: dict[str, Any] = {
    **REST,
    "path": "/by-id",
    "paging": {"style": "cursor", "next": "/next", "parameter": "after", "size_parameter": "limit"},
}
"""Pages in the order of the ids; each begins after the last id of the one before, so that none moves."""


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at: float = 0.0
    """When it came, on the clock that the processes of a machine share."""

    def header(self, name: str) -> str | None:
        """Return a header, however its name is written."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())


@dataclass(frozen=True)
class Answer:
    """What a test has the source answer; *then* is called with the open connection instead of a body."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[Any], None] | None = None


Interference = Callable[[Call, int], Answer | None]


class Source:
    """The records of a source and the server that pages through them, sorted by when they changed."""

    def __init__(self, records: int = 0) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.calls: list[Call] = []
        self.interfere: Interference = lambda _call, _number: None
        self.lock = threading.RLock()
        self.seen_at: int | None = None
        """The port that others reach it at, if that is not its own."""
        self._changes = 0
        self._server: ThreadingHTTPServer | None = None
        for number in range(records):
            self.put(f"t-{number:06d}", text=f"Message {number}: my order has not arrived yet.")

    @property
    def url(self) -> str:
        """Return the address of the server."""
        return f"http://127.0.0.1:{self.seen_at or self.port}"

    @property
    def port(self) -> int:
        """Return the port of the server."""
        assert self._server is not None
        return self._server.server_port

    @property
    def host(self) -> str:
        """Return host and port."""
        return self.url.removeprefix("http://")

    def put(self, record_id: str, at: datetime | None = None, **fields: Any) -> None:
        """Add a record, or change it, *at* or a second after the last; it moves to the end of the pages."""
        with self.lock:
            self._changes += 1
            at = at or FIRST_AT + timedelta(seconds=self._changes)
            written = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            was = self.records.pop(record_id, {"id": record_id, "created_at": written, "status": "open"})
            self.records[record_id] = {
                **was, "subject": None, "customer": "c-1", **fields, "changed_at": written,
            }  # fmt: skip

    def remove(self, record_id: str) -> None:
        """Take a record away; those behind it move up."""
        with self.lock:
            del self.records[record_id]

    def texts(self) -> dict[str, str]:
        """Return record id → text: what the tickets have to be at the end."""
        with self.lock:
            return {key: one["text"] for key, one in self.records.items()}

    def page(self, call: Call) -> Answer:
        """Answer as the API does."""
        return self._page_by_id(call) if call.path == BY_CURSOR["path"] else self._page_by_change(call)

    def _page_by_id(self, call: Call) -> Answer:
        after, limit, since = call.query.get("after", ""), int(call.query["limit"]), call.query.get("since", "")
        with self.lock:
            found = [one for one in self.records.values() if one["id"] > after and one["changed_at"] >= since[:19]]
        page = sorted(found, key=lambda one: str(one["id"]))[:limit]
        following = page[-1]["id"] if len(found) > limit else None
        return Answer(body=orjson.dumps({"data": page, "next": following}))

    def _page_by_change(self, call: Call) -> Answer:
        offset, limit = int(call.query.get("offset", 0)), int(call.query.get("limit", 100))
        since = call.query.get("since", "")
        with self.lock:
            found = [one for one in self.records.values() if one["changed_at"] >= since[:19]]
        rest = {**call.query, "offset": str(offset + limit)}
        has_next = offset + limit < len(found)
        headers = {"Link": f'<{self.url}{call.path}?{urlencode(rest)}>; rel="next"'} if has_next else {}
        body = {"data": found[offset : offset + limit], "total": len(found)}
        return Answer(body=orjson.dumps(body), headers=headers)

    @contextmanager
    def serving(self) -> Iterator["Source"]:
        """Serve for the block, in threads."""
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 64 * 1024

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                call = Call(parts.path, dict(parse_qsl(parts.query)), dict(self.headers), time.monotonic())
                with source.lock:
                    source.calls.append(call)
                    number = len(source.calls)
                answer = source.interfere(call, number) or source.page(call)
                if answer.then is not None:
                    answer.then(self)
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                if "Date" not in answer.headers:
                    self.send_header("Date", self.date_time_string())
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
