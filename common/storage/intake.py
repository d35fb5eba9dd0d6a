"""A file on its way in: bounded, cut into pieces, and hashed beside whoever stores them."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from common.errors import TooLarge
from common.storage.blob_store import Blob


class Intake:
    """Walk *chunks* in pieces of exactly the sizes of *piece_bytes*; only the last is shorter.

    While a piece is stored a thread hashes it (hashlib lets go of the interpreter), and no more than two pieces
    are held: storing a file of 1 GB takes as long as the slower of the two, not as both.
    """

    def __init__(self, chunks: Iterable[bytes], *, max_bytes: int, piece_bytes: Iterable[int]) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._piece_bytes = iter(piece_bytes)
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._hashing: Future[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces. Raises `TooLarge` as soon as the stream is, and whatever the stream raises."""
        held: list[memoryview] = []
        missing = size = next(self._piece_bytes)
        for chunk in self._counted():
            rest = memoryview(chunk)
            while rest:
                held.append(rest[:missing])
                missing -= len(held[-1])
                rest = rest[len(held[-1]) :]
                if not missing:
                    yield self._hashed(b"".join(held), size)
                    held, missing = [], (size := next(self._piece_bytes))
        if held:
            yield self._hashed(b"".join(held), size)

    def blob(self, blob_id: str) -> Blob:
        """Return what the whole stream was, as a file of that id."""
        self._wait()
        return Blob(id=blob_id, size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    def _counted(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._size_bytes += len(chunk)
            if self._size_bytes > self._max_bytes:
                raise TooLarge(
                    f"The file is over {self._max_bytes} bytes.", extra={"limit_bytes": self._max_bytes}
                )
            yield chunk

    def _hashed(self, piece: bytes, full_bytes: int) -> bytes:
        self._wait()
        if len(piece) < full_bytes:
            self._digest.update(piece)  # the last or the only one: a thread would cost more than it saves
        else:
            self._hashing = self._pool.submit(self._digest.update, piece)
        return piece

    def _wait(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None
