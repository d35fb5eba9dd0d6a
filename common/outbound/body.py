"""Reading an answer's body: never more than is taken, on the line nor unpacked, and nothing without its end."""

import io
import zlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from common.errors import AnswerRefused, HostIll

_GZIP, _DEFLATE, _BARE_DEFLATE = 31, 15, -15
_DEFLATE_METHOD = 8


def read_body(chunks: Iterable[bytes], headers: Mapping[str, str], most_bytes: int) -> bytes:
    """Return the unpacked body. Raises `AnswerRefused` above *most_bytes*, `HostIll` if it is damaged or cut."""
    if int(headers.get("content-length", 0)) > most_bytes:
        raise _too_large(most_bytes)
    sink = _sink(headers.get("content-encoding", "identity").strip().lower(), most_bytes)
    received_bytes = 0
    for chunk in chunks:
        received_bytes += len(chunk)
        if received_bytes > most_bytes:
            raise _too_large(most_bytes)
        sink.write(chunk)
    return sink.whole()


class _Sink(Protocol):
    def write(self, data: bytes) -> object: ...

    def whole(self) -> bytes: ...


class _Plain(io.BytesIO):
    """One buffer that grows: a million chunks of a byte must not become a million objects."""

    def whole(self) -> bytes:
        return self.getvalue()


class _Unpacked:
    """What comes out of a stream of gzip or deflate; it is stopped where it becomes too much."""

    def __init__(self, encoding: str, most_bytes: int) -> None:
        self._is_gzip = encoding != "deflate"
        self._most_bytes = most_bytes
        self._out = io.BytesIO()
        self._stream: zlib._Decompress | None = None

    def write(self, data: bytes) -> None:
        while data:
            if self._stream is None or self._stream.eof:
                self._stream = zlib.decompressobj(self._window(data))
            data = self._unpack(self._stream, data)

    def whole(self) -> bytes:
        if self._stream is not None and not self._stream.eof:
            raise HostIll("The host's answer is cut short.")
        return self._out.getvalue()

    def _unpack(self, stream: "zlib._Decompress", data: bytes) -> bytes:
        """Unpack *data*, and return what comes after its end: a file of gzip may have several parts."""
        try:
            self._out.write(stream.decompress(data, self._most_bytes - self._out.tell() + 1))
        except zlib.error:
            raise HostIll("The host's answer is damaged: it can't be unpacked.") from None
        if self._out.tell() > self._most_bytes:
            raise _too_large(self._most_bytes)
        return stream.unused_data

    def _window(self, data: bytes) -> int:
        """Return how zlib is to read it: many send deflate without the header that RFC 9110 wants."""
        if self._is_gzip:
            return _GZIP
        return _DEFLATE if data[0] & 0x0F == _DEFLATE_METHOD else _BARE_DEFLATE


def _sink(encoding: str, most_bytes: int) -> _Sink:
    match encoding:
        case "identity" | "":
            return _Plain()
        case "gzip" | "x-gzip" | "deflate":
            return _Unpacked(encoding, most_bytes)
        case _:
            raise AnswerRefused("The host's answer is packed in a way that nobody asked for.")


def _too_large(most_bytes: int) -> AnswerRefused:
    return AnswerRefused(f"The host's answer is larger than the {most_bytes:,} bytes that are taken.")
