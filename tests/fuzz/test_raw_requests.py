"""Requests that no library would send, to the real server: refused or cut off, and nobody else is hindered."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fuzz.conftest import Target

WITHIN_S = 10
SIGN_IN = b"POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REFUSED = (400, 401, 404, 405, 411, 413, 414, 415, 422, 431, 501, 505)


def say(target: Target, *parts: bytes, ends: bool = False) -> bytes:
    """Send *parts* on one connection; return all that is answered until it stops, or nothing if it is cut off."""
    address = urlsplit(target.url)
    with socket.create_connection((address.hostname, address.port), timeout=WITHIN_S) as wire:
        answer = b""
        try:
            for part in parts:
                wire.sendall(part)
            if ends:
                wire.shutdown(socket.SHUT_WR)
            while chunk := wire.recv(65_536):
                answer += chunk
                if b"\r\n\r\n" in answer and not ends:
                    break
        except OSError:
            return answer
    return answer


def status(answer: bytes) -> int | None:
    """Return the status of an answer, or `None` where the connection was cut off."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else None


@pytest.fixture(autouse=True)
def alive(target: Target) -> Iterator[None]:
    """Check that the server answers others as before."""
    yield
    assert httpx.get(f"{target.url}/healthz", timeout=WITHIN_S).status_code == 200


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 10\r\n\r\n", b"{}"),
        (b"Content-Length: 104857600\r\n\r\n", b"{}"),
        (b"Content-Length: -1\r\n\r\n", b"{}"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", b"{}x"),
        (b"Content-Length: 2, 2\r\n\r\n", b"{}"),
        (b"Content-Length: 99999999999999999999999\r\n\r\n", b"{}"),
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"ffffffffffffffff\r\n{}"),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: identity\r\n\r\n", b"{}"),
        (b"\r\n", b""),
    ],
)
def test_a_body_that_lies_about_itself_is_refused(target: Target, head: bytes, body: bytes) -> None:
    answer = say(target, SIGN_IN + head, body, ends=True)

    assert status(answer) in (None, *REFUSED), answer[:300]


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/jobs?" + b"a=1&" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 10_000,
    ],
)
def test_a_request_that_is_none_is_refused(target: Target, request_line: bytes) -> None:
    answer = say(target, request_line, ends=True)

    assert status(answer) in (None, 302, *REFUSED), answer[:300]


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-H-%d: x\r\n" % number for number in range(500)),
        b"Cookie: " + b"x" * 65_536 + b"\r\n",
        b"Authorization: Bearer " + b"x" * 60_000 + b"\r\n",
        b"Accept: " + b"text/html;q=0.1," * 3_000 + b"*/*\r\n",
        b"If-None-Match: " + b'"x", ' * 5_000 + b'"y"\r\n',
        b"X-Forwarded-For: " + b"10.0.0.1, " * 100 + b"10.0.0.2\r\n",
    ],
)
def test_many_or_long_headers_hinder_nobody(target: Target, headers: bytes) -> None:
    answer = say(
        target, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"\r\n", ends=True
    )

    assert status(answer) in (None, 200, *REFUSED), answer[:300]


def test_those_who_speak_slowly_hinder_nobody(target: Target) -> None:
    address = urlsplit(target.url)
    with ExitStack() as open_ones:
        slow = [
            open_ones.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(200)
        ]
        for number, one in enumerate(slow):
            half = SIGN_IN if number % 2 else SIGN_IN + b"Content-Length: 1000\r\n\r\n{"
            one.sendall(half)
        started = time.monotonic()

        answers = [httpx.get(f"{target.url}/v1/jobs", timeout=WITHIN_S).status_code for _ in range(20)]

        assert answers == [401] * 20
        assert time.monotonic() - started < WITHIN_S


def test_who_hangs_up_in_the_middle_leaves_nothing_running(target: Target) -> None:
    token = target.tokens["admin"]
    head = f"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    address = urlsplit(target.url)
    for _ in range(300):
        with socket.create_connection((address.hostname, address.port)) as wire:
            wire.sendall(head)

    answer = httpx.get(f"{target.url}/v1/jobs", headers={"Authorization": f"Bearer {token}"}, timeout=WITHIN_S)

    assert answer.status_code == 200


def test_no_header_tells_the_servers_version(target: Target) -> None:
    answer = httpx.get(f"{target.url}/healthz")

    assert not any(character.isdigit() for character in answer.headers.get("Server", ""))
