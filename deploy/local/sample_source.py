"""A made-up ticket API on this machine for the demo: it pages, it changes, and it can be cut off.

Its records are sorted by when they changed; `REST` is what the `rest` connector has to be told of it.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from deploy.local.sample_tickets import message

REST: Mapping[str, Any] = {
    "path": "/tickets",
    "records": "/data",
    "fields": {
        "external_id": "/id",
        "customer_id": "/customer",
        "message": "/text",
        "status": "/state",
        "created_at": "/created",
    },
    "changed_at": "/changed",
    "since": {"parameter": "since", "format": "rfc3339"},
    "paging": {"style": "link", "size_parameter": "limit", "total": "/total"},
}
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class SampleSource:
    """The records, and the server that pages through them while `serving`."""

    def __init__(self, records: int, *, seed: int = 0) -> None:
        self._chance = random.Random(seed)  # noqa: S311 (a demo's data, no secret)
        self._records: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._changes = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._cut_until = 0.0
        self.was_cut = False
        for _ in range(records):
            self.add()

    @property
    def url(self) -> str:
        """Return the address of the API."""
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        """Return host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def texts(self) -> dict[str, str]:
        """Return record id → text of all there is."""
        with self._lock:
            return {key: one["text"] for key, one in self._records.items()}

    def add(self) -> None:
        """Add a record."""
        self._put(f"case-{self._changes + 1}")

    def change(self, count: int) -> None:
        """Give *count* records another text."""
        for key in self._chance.sample(sorted(self.texts), count):
            self._put(key)

    def remove(self, count: int) -> None:
        """Remove *count* records."""
        for key in self._chance.sample(sorted(self.texts), count):
            with self._lock:
                del self._records[key]

    def cut(self, seconds: float) -> None:
        """Answer nobody for so long: connections are closed without a word."""
        self._cut_until, self.was_cut = time.monotonic() + seconds, True

    @contextmanager
    def serving(self) -> Iterator["SampleSource"]:
        """Answer requests for the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def page(self, path: str) -> tuple[bytes, str | None]:
        """Return what the API answers to a GET of *path*, and the address of the page after it."""
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query))
        offset, limit, since = int(query.get("offset", 0)), int(query["limit"]), query.get("since", "")[:19]
        with self._lock:
            found = [one for one in self._records.values() if one["changed"] >= since]
        there, following = found[offset : offset + limit], {**query, "offset": str(offset + limit)}
        has_more = offset + limit < len(found)
        next_ = f"{self.url}{parts.path}?{urlencode(following)}" if has_more else None
        return orjson.dumps({"data": there, "total": len(found)}), next_

    def _put(self, key: str) -> None:
        with self._lock:
            self._changes += 1
            at = (_BEGIN + timedelta(seconds=self._changes)).strftime("%Y-%m-%dT%H:%M:%SZ")
            was = self._records.pop(key, {"id": key, "created": at, "customer": f"c{self._changes % 500}"})
            text = message(self._chance, self._changes)
            self._records[key] = {**was, "text": text, "state": "open", "changed": at}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1024 * 1024

            def do_GET(self) -> None:
                if time.monotonic() < source._cut_until:
                    self.close_connection = True
                    return
                body, next_ = source.page(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if next_ is not None:
                    self.send_header("Link", f'<{next_}>; rel="next"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
                del format, args

        return Handler
