"""Connections of httpcore that lead to a judged address only, and no further than the deadline of their call."""

import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore

from common.outbound.addresses import Address, Addresses
from common.outbound.url import Url

_LEAST_S = 0.001
Options = Iterable[httpcore.SOCKET_OPTION]


class Call(threading.local):
    """The call that this thread makes: httpcore connects and reads in the thread that asks it to."""

    url: Url
    deadline_at: float = 0.0
    has_connected: bool = False

    def left_s(self, most_s: float | None) -> float:
        """Return how long the next step may take. Raises `httpcore.ReadTimeout` after the deadline."""
        left_s = self.deadline_at - time.monotonic()
        if left_s <= 0:
            raise httpcore.ReadTimeout
        return left_s if most_s is None else min(left_s, most_s)


class JudgedBackend(httpcore.NetworkBackend):
    """Looks a host up once, when it connects, and connects to what it has judged.

    A connection that is used again leads where it led; a name that has moved since changes nothing.
    """

    def __init__(self, addresses: Addresses, call: Call) -> None:
        self._addresses = addresses
        self._call = call
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 (the same as the call's own, which has been judged)
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers. Raises what `Addresses.resolve` raises."""
        self._call.has_connected = True
        within_s = self._call.left_s(timeout)
        until = time.monotonic() + within_s
        addresses = self._addresses.resolve(self._call.url, within_s=within_s)
        return _BoundStream(self._first(addresses, port, until, local_address, socket_options), self._call)

    def _first(
        self,
        addresses: Sequence[Address],
        port: int,
        until: float,
        local_address: str | None,
        socket_options: Options | None,
    ) -> httpcore.NetworkStream:
        """Try one after the other; each gets an equal part of what time is left, so a dead one leaves some."""
        for position, address in enumerate(addresses, start=1):
            share_s = (until - time.monotonic()) / (len(addresses) - position + 1)
            try:
                return self._plain.connect_tcp(
                    str(address), port, max(_LEAST_S, share_s), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses):
                    raise
        raise httpcore.ConnectError


class _BoundStream(httpcore.NetworkStream):
    """A stream whose every step ends at the deadline of the call that makes it."""

    def __init__(self, stream: httpcore.NetworkStream, call: Call) -> None:
        self._stream = stream
        self._call = call

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._call.left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._call.left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._call.left_s(timeout))
        return _BoundStream(secured, self._call)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
