"""A file as the body of a request: read as it is sent, and from its beginning again when it is sent again."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import quote

from fairway.errors import NotSent

CHUNK_BYTES = 256 * 1024
Seen = Callable[[int], None]
"""Told how many bytes of a file are over, while they go or come; less than before when it begins again."""


class FileBody:
    """What an open file has from where it stands to its end now; what is added while it is sent stays behind."""

    def __init__(self, file: BinaryIO, seen: Seen | None = None) -> None:
        self._file = file
        self._seen = seen or (lambda _: None)
        self._start = file.tell()
        self.size_bytes = file.seek(0, os.SEEK_END) - self._start

    def __iter__(self) -> Iterator[bytes]:
        """Go through it, once more from the beginning. Raises `NotSent` if the file became shorter."""
        self._file.seek(self._start)
        done = 0
        self._seen(done)
        while done < self.size_bytes:
            chunk = self._file.read(min(CHUNK_BYTES, self.size_bytes - done))
            if not chunk:
                raise NotSent("The file became shorter while it was sent.")
            yield chunk
            done += len(chunk)
            self._seen(done)

    def headers(self, media_type: str) -> dict[str, str]:
        """Return what describes it; a body whose length is known is not sent in chunks."""
        return {"Content-Type": media_type, "Content-Length": str(self.size_bytes)}


def named(name: str) -> dict[str, str]:
    """Return the header that names a body (RFC 6266), in any script. Raises `NotSent` for what is no text."""
    try:
        return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    except UnicodeEncodeError as error:
        raise NotSent("The file's name is no text: give it another one.") from error


def opened(file: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Open a path; what is open already stays the caller's to close."""
    return file.open("rb") if isinstance(file, Path) else nullcontext(file)


def name_of(file: Path | BinaryIO) -> str:
    """Return what a file is called. Raises `NotSent` if nothing says it."""
    if isinstance(file, Path):
        return file.name
    name = getattr(file, "name", None)
    if not isinstance(name, str):
        raise NotSent("Say what the file is to be called.")
    return PurePath(name).name
