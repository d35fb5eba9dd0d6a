"""A download that goes on where it was cut: into a partial file, checked by its hash, renamed at the end.

What is stored under an address of ours never becomes other bytes, so that a part that came earlier stays good.
Where the store is asked directly (307), it gets the address that it signed itself and no credential of ours.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from fairway.bodies import Seen
from fairway.errors import NotWhole
from fairway.transport import Transport, problem_of


@dataclass(frozen=True)
class Content:
    """What is to come from *path* of the API."""

    path: str
    size_bytes: int
    sha256: str


def download(transport: Transport, content: Content, file: Path, seen: Seen | None = None) -> None:
    """Write *content* to *file*, which appears whole. Raises `Problem`, `Unreachable` or `NotWhole`."""
    part = _part_of(content, file)
    with part.open("a+b") as out:
        _Download(transport, content, out, seen or (lambda _: None)).run()
        out.flush()
        out.seek(0)
        if hashlib.file_digest(out, "sha256").hexdigest() != content.sha256:
            part.unlink()
            raise NotWhole(f"What came for {file.name} is not what is stored. Nothing was kept; try again.")
        os.fsync(out.fileno())
    part.replace(file)


class _Download:
    def __init__(self, transport: Transport, content: Content, out: BinaryIO, seen: Seen) -> None:
        self._transport = transport
        self._content = content
        self._out = out
        self._seen = seen
        self._have = out.seek(0, os.SEEK_END)
        self._furthest = self._have

    def run(self) -> None:
        if self._have > self._content.size_bytes:
            self._begin_again()
        if self._have == self._content.size_bytes > 0:  # an earlier call got it all
            return
        self._transport.patiently(self._go_on)
        while self._have < self._content.size_bytes:  # cut off, but further than before: as patiently as at first
            self._transport.patiently(self._go_on)

    def _go_on(self) -> None:
        """Ask for what is left, and take what comes; who comes further than before may be cut off."""
        self._seen(self._have)
        try:
            with self._answer() as answer:
                self._take(answer)
        except httpx.TransportError:
            if self._have <= self._furthest:
                raise
        if self._have < self._content.size_bytes and self._have <= self._furthest:
            raise httpx.RemoteProtocolError("the download ends too early")
        self._furthest = max(self._furthest, self._have)

    @contextmanager
    def _answer(self) -> Iterator[httpx.Response]:
        """Give the answer that has the bytes, wherever they are."""
        headers = {"Accept-Encoding": "identity"}
        if self._have:
            headers |= {"Range": f"bytes={self._have}-"}
        ours = {**headers, "If-Range": f'"{self._content.sha256}"'} if self._have else headers
        with self._transport.stream("GET", self._content.path, ours) as answer:
            if not answer.has_redirect_location:
                yield answer
                return
            answer.read()
            address = answer.url.join(answer.headers["Location"])
        with self._transport.elsewhere.stream("GET", address, headers=headers) as answer:
            yield answer

    def _take(self, answer: httpx.Response) -> None:
        """Take what comes, if it goes on where we are or begins anew."""
        begins = answer.headers.get("Content-Range", "").startswith(f"bytes {self._have}-")
        is_part = answer.status_code == httpx.codes.PARTIAL_CONTENT
        if self._have and not (is_part and begins):
            self._begin_again()
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE or (is_part and not begins):
            return  # it is asked for again, from the beginning
        if not answer.is_success:
            answer.read()
            raise problem_of(answer)
        for chunk in answer.iter_raw():  # as it comes: what waits for a larger chunk is lost where it is cut
            self._have += self._out.write(chunk)
            if self._have > self._content.size_bytes:
                self._begin_again()
                raise NotWhole("More comes than is stored. Nothing was kept; try again.")
            self._seen(self._have)

    def _begin_again(self) -> None:
        self._have = 0
        self._out.truncate(0)


def _part_of(content: Content, file: Path) -> Path:
    """Return where the part is kept: beside the file, the same for the same bytes under the same name."""
    which = hashlib.sha256(f"{content.sha256} {file.name}".encode(errors="surrogateescape")).hexdigest()
    return file.with_name(f".fairway-{which[:16]}.part")
