"""A file in S3 as a file: read in order through few answers, taken up again where one breaks off."""

import io
import time
from typing import Any

import urllib3
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from common.errors import NotFound
from common.storage.s3_client import is_absent, unavailable

FIRST_BYTES = 1024 * 1024
MOST_BYTES = 64 * 1024 * 1024
RESUMED_TIMES = 4
PAUSE_S = 0.1
_BROKEN_OFF = (BotoCoreError, urllib3.exceptions.HTTPError, OSError)


class S3Reader(io.RawIOBase):
    """The bytes of one object, whose length and ETag are known.

    Each answer is asked for from where the reader stands, the first one short and the next ones four times as
    long: who jumps about throws little away, who reads on asks seldom. One that breaks off or times out is asked
    for again from there, with growing pauses, `RESUMED_TIMES` for each `MOST_BYTES`.
    """

    def __init__(self, client: Any, where: dict[str, str], *, size_bytes: int, etag: str) -> None:
        self._client = client
        self._where = where
        self._etag = etag
        self._size_bytes = size_bytes
        self._offset = 0
        self._body: Any = None
        self._body_ends = 0
        self._window_bytes = FIRST_BYTES
        self._failures = 0
        self._forgiven_at = MOST_BYTES

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return where the reader stands."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Stand at *offset*; what was being read is let go unless it goes on there."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise ValueError("A file has nothing before its beginning.")
        if start + offset != self._offset:
            self._let_go()
            self._window_bytes = FIRST_BYTES
            self._offset = start + offset
        return self._offset

    def readinto(self, buffer: Any, /) -> int:
        """Read up to the buffer's length. Raises `StorageUnavailable`; `NotFound` if it was deleted meanwhile."""
        if self._offset >= self._size_bytes or not len(buffer):
            return 0
        while True:
            if self._body is None:
                self._ask()
            try:
                return self._read(buffer)
            except _BROKEN_OFF as error:
                self._let_go()
                self._endure(error)

    def close(self) -> None:
        """Let the connection go."""
        self._let_go()
        super().close()

    def _read(self, buffer: Any) -> int:
        piece = self._body.read(min(len(buffer), self._body_ends - self._offset))
        if not piece:
            raise ConnectionResetError("The answer ended before its end.")
        buffer[: len(piece)] = piece
        self._advance(len(piece))
        return len(piece)

    def _ask(self) -> None:
        """Ask for what comes next; botocore has tried often enough when it gives up."""
        last = min(self._offset + self._window_bytes, self._size_bytes) - 1
        try:
            answer = self._client.get_object(
                **self._where, Range=f"bytes={self._offset}-{last}", IfMatch=self._etag
            )
        except ClientError as error:
            if is_absent(error):
                raise NotFound("There is no such file.") from error
            raise unavailable(error) from error
        except BotoCoreError as error:
            raise unavailable(error) from error
        self._body = answer["Body"]
        self._body_ends = last + 1
        self._window_bytes = min(4 * self._window_bytes, MOST_BYTES)

    def _advance(self, size_bytes: int) -> None:
        self._offset += size_bytes
        if self._offset == self._body_ends:
            self._body.close()  # read to its end: the connection is kept
            self._body = None
        self._forgiven_at -= size_bytes
        if self._forgiven_at <= 0:
            self._forgiven_at = MOST_BYTES
            self._failures = 0

    def _endure(self, error: Exception) -> None:
        """Pause before the next try, or give up."""
        self._failures += 1
        if self._failures > RESUMED_TIMES:
            raise unavailable(error) from error
        time.sleep(PAUSE_S * 2**self._failures)

    def _let_go(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
