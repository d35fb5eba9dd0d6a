"""A source that costs next to nothing: pages made beforehand, sent whole over kept connections by one process.

`python fast_source.py RECORDS PAGE_SIZE PORT...` serves the same pages on each port. `GET /calls` answers with
when the port was asked for a page, in seconds since 1970.
"""

import asyncio
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson

FIRST_AT = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("card", "account", "transfer", "refund", "invoice", "delivery", "late", "missing", "wrong", "please")
MORE_WORDS = ("today", "order", "charged", "twice", "password", "locked", "when", "will", "it", "arrive")


def main(records: int, page_size: int, ports: list[int]) -> None:
    """Serve until the process is ended."""
    asyncio.run(_serve(pages_of(records, page_size), ports))


def pages_of(records: int, page_size: int) -> dict[bytes, bytes]:
    """Return whole answers by the offset that they begin at; the same each time."""
    chance = random.Random(7)
    found = {}
    for first in range(0, max(records, 1), page_size):
        last = min(first + page_size, records)
        body = orjson.dumps({"data": [record(n, chance) for n in range(first, last)], "total": records})
        link = f'Link: <?limit={page_size}&offset={last}>; rel="next"\r\n' if last < records else ""
        found[str(first).encode()] = _answer(body, link)
    return found


def record(number: int, chance: random.Random) -> dict[str, object]:
    """Return a ticket as its source has it."""
    message = " ".join(chance.choices(WORDS + MORE_WORDS, k=20))
    at = (FIRST_AT + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": f"t-{number:08d}",
        "customer": f"c-{number % 997}",
        "subject": message[:40],
        "text": message,
        "status": "open",
        "tags": ["bench", WORDS[number % 10]],
        "created_at": at,
        "changed_at": at,
        "priority": "normal",
        "assignee": number % 31,
    }


class _Source(asyncio.Protocol):
    """One connection; the calls of its port are shared with its neighbours."""

    def __init__(self, pages: dict[bytes, bytes], calls: list[float]) -> None:
        self._pages = pages
        self._calls = calls
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._transport.write(self._answer_to(head.split(b" ", 2)[1]))

    def _answer_to(self, target: bytes) -> bytes:
        if target.startswith(b"/calls"):
            return _answer(orjson.dumps(self._calls), "")
        self._calls.append(time.time())
        return self._pages[target.partition(b"offset=")[2].partition(b"&")[0] or b"0"]


def _answer(body: bytes, more_headers: str) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more_headers}\r\n"
    )
    return head.encode() + body


async def _serve(pages: dict[bytes, bytes], ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        calls: list[float] = []
        await loop.create_server(lambda calls=calls: _Source(pages, calls), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [int(port) for port in sys.argv[3:]])
