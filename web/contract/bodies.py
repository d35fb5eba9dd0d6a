"""A request's body as a stream: bounded, and held to the length that it announced."""

from flask import Request

from common.errors import NotParseable, TooLarge, WrongMediaType
from web.contract.places import waiting

CHUNK_BYTES = 64 * 1024


class Body:
    """The body of *request*, read chunk by chunk and never much beyond *max_bytes*.

    The server's own stream is read: Flask's wrapper cuts a chunked body off at its limit without a word, and lets
    one pass that ends before its Content-Length. Raises `WrongMediaType` for a compressed body, `TooLarge` for one
    that announces more than *max_bytes*; *what* begins the sentence.
    """

    def __init__(
        self, request: Request, max_bytes: int, what: str = "A body", *, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise WrongMediaType("Send the body without Content-Encoding.")
        self._stream = request.environ["wsgi.input"]
        self._max_bytes = max_bytes
        self._what = what
        self._chunk_bytes = chunk_bytes
        self._announced = request.content_length
        if self._announced is None and not request.environ.get("wsgi.input_terminated"):
            self._announced = 0  # nobody says where it ends: reading on could wait for ever
        self._count = 0
        self._bound(self._announced or 0)

    def read(self) -> bytes:
        """Return the next chunk, or nothing at the end.

        Raises `TooLarge` beyond the bound, `NotParseable` for an end before the announced one.
        """
        most = self._chunk_bytes
        wanted = most if self._announced is None else min(most, self._announced - self._count)
        with waiting():  # for a slow sender, while others are worked on
            chunk: bytes = self._stream.read(wanted) if wanted else b""
        self._count += len(chunk)
        self._bound(self._count)
        if not chunk and self._announced is not None and self._count < self._announced:
            raise NotParseable(f"{self._what} ends before its Content-Length.")
        return chunk

    def read_all(self) -> bytes:
        """Return the whole body. Raises like `read`."""
        return b"".join(iter(self.read, b""))

    def _bound(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise TooLarge(f"{self._what} has at most {self._max_bytes} bytes.")
