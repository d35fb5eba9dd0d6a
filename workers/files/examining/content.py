"""A content as the child sees it: a piece of a descriptor, of which never more is in memory than may be."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from common.errors import JobFailed
from common.text.delimiter import find_table
from common.text.encoding import detect_encoding

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 8 * 1024
TEXT_MAX_BYTES = 64 * 1024 * 1024
SAMPLE_CHARS = 64 * 1024
SHOWN_MAX_CHARS = 100
_SMALL_BYTES = 1024 * 1024


class Unreadable(Exception):
    """The content can't be examined; *sentence* says why, *found* is what is known nevertheless."""

    def __init__(self, sentence: str, **found: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.found = found


def shown(text: str) -> str:
    """Return *text* from a content as it may stand in findings: not too long, and nothing that is not seen."""
    kept = text[:SHOWN_MAX_CHARS]
    return "".join(character if character.isprintable() else "\ufffd" for character in kept)


@dataclass(frozen=True)
class Content:
    """The *held_bytes* from *offset* on in *descriptor*: the whole of the *size_bytes*, or its beginning."""

    descriptor: int
    offset: int
    held_bytes: int
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Tell whether all of the content is there."""
        return self.held_bytes == self.size_bytes

    @cached_property
    def head(self) -> bytes:
        """The first 8 KiB."""
        return self.read(HEAD_BYTES)

    def read(self, max_bytes: int, offset: int = 0) -> bytes:
        """Return at most *max_bytes* from *offset* on."""
        return os.pread(self.descriptor, max(0, min(max_bytes, self.held_bytes - offset)), self.offset + offset)

    def open(self, max_bytes: int | None = None) -> BinaryIO:
        """Open what is there, or its first *max_bytes*, as a file that ends there."""
        length = self.held_bytes if max_bytes is None else min(max_bytes, self.held_bytes)
        if length <= _SMALL_BYTES:
            return io.BytesIO(self.read(length))
        return io.BufferedReader(_Window(self.descriptor, self.offset, length))

    def whole(self, max_bytes: int | None = None) -> BinaryIO:
        """Open all of it, for what can't be read from a beginning. Raises `Unreadable` if it is too large."""
        if not self.is_whole or self.size_bytes > (max_bytes or self.size_bytes):
            raise Unreadable("The file is too large to be looked into.")
        return self.open()

    def extent(self, examined_bytes: int) -> dict[str, int]:
        """Say for the findings how much was examined, if it was not all."""
        return {} if examined_bytes == self.size_bytes else {"examined_bytes": examined_bytes}

    @property
    def text_bytes(self) -> int:
        """How much of it is looked at if it is text."""
        return min(self.held_bytes, TEXT_MAX_BYTES)

    @cached_property
    def encoding(self) -> str:
        """The codec of the text. Raises `Unreadable` if it is none that we know."""
        try:
            return detect_encoding(self.open(TEXT_MAX_BYTES))
        except JobFailed as error:
            raise Unreadable("The text's encoding is not known.") from error

    @contextmanager
    def text(self, *, newline: str | None = None) -> Iterator[TextIO]:
        """Open the first 64 MiB as text; bytes that are none are replaced. Raises as `encoding` does."""
        with io.TextIOWrapper(
            self.open(TEXT_MAX_BYTES), encoding=self.encoding, errors="replace", newline=newline
        ) as text:
            yield text

    @cached_property
    def sample(self) -> str:
        """The beginning of the text, with the line ends that it has. Raises as `encoding` does."""
        with self.text(newline="") as text:
            return text.read(SAMPLE_CHARS)

    @cached_property
    def delimiter(self) -> str | None:
        """The sign that parts the text into a table; None if it is no table. Raises as `encoding` does."""
        return find_table(self.sample, is_whole=self.sample_is_whole)

    @property
    def sample_is_whole(self) -> bool:
        """Tell whether the sample is the whole text."""
        return self.is_whole and len(self.sample) < SAMPLE_CHARS


class _Window(io.RawIOBase):
    """A piece of a descriptor as a file of its own; the descriptor stays open after it."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._length = length
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        since = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        if since + offset < 0:
            raise ValueError("There is nothing before the start.")
        self._at = since + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)[: max(0, self._length - self._at)]
        count = os.preadv(self._descriptor, [view], self._start + self._at)
        self._at += count
        return count
