"""A host of the outside that answers what a test says, byte by byte, and notes who came."""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_CLOSES = re.compile(rb"\r\nconnection: close\r\n|\AHTTP/1\.0", re.IGNORECASE)
Reply = bytes | Callable[["Visit"], None]


@dataclass(frozen=True)
class Asked:
    """One request: its target, and its headers with names in small letters."""

    target: str
    headers: Mapping[str, str]
    connection: int


class Visit:
    """One connection, as what answers on it needs it."""

    def __init__(self, sock: socket.socket, number: int, is_over: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self._is_over = is_over

    def send(self, data: bytes) -> None:
        """Send; raises `OSError` once the caller has gone."""
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float) -> None:
        """Send one byte at a time, until the caller has gone or the test is over."""
        for byte in data:
            self.send(bytes([byte]))
            if self._is_over.wait(every_s):
                return

    def keep_silent(self) -> None:
        """Hold the connection until the caller or the test ends it."""
        self._is_over.wait(30)


class Host:
    """Listens on loopback. What it answers stands in `replies`, by target; a function answers as it likes."""

    def __init__(self, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.turned_away = 0
        self._tls = tls
        self._is_over = threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._is_over.set()
        for sock in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        self._open.add(sock)
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            while self._answer(Visit(sock, number, self._is_over)):
                pass
        except ssl.SSLError:
            self.turned_away += 1
        except OSError:
            pass
        finally:
            sock.close()

    def _answer(self, visit: Visit) -> bool:
        """Read a request and answer it; tell whether another one may come on this connection."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            received = visit.sock.recv(65_536)
            if not received:
                return False
            request += received
        asked = _asked(request, visit.number)
        self.asked.append(asked)
        reply = self.replies[asked.target]
        if not isinstance(reply, bytes):
            reply(visit)
            return False
        visit.send(reply)
        return not _CLOSES.search(reply)


def _asked(request: bytes, connection: int) -> Asked:
    first, *lines = request.decode("ascii").split("\r\n")
    pairs = (line.partition(": ") for line in lines if line)
    return Asked(first.split(" ")[1], {name.lower(): value for name, _, value in pairs}, connection)


def page(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer of known length, after which the connection may be kept."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """Return an answer that leads elsewhere."""
    return page(b"moved", f"Location: {location}", status=status)


@contextlib.contextmanager
def hosting(tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[Host]:
    """Run a host while the block runs."""
    host = Host(tls, address)
    try:
        yield host
    finally:
        host.close()
