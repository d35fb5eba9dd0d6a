"""What a host may send without hurting whoever asked it."""

import contextlib
import gzip
import socket
import struct
import threading

import pytest

from common.errors import AnswerRefused, HostIll
from common.outbound.fetcher import Fetcher
from tests.integration.outbound.conftest import fetcher_for
from tests.integration.outbound.host import Host, Visit, hosting, page

MIB = 1024**2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def for_ever(visit: Visit, piece: bytes) -> None:
    while True:
        visit.send(piece)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"\r\n", b"x" * 65_536),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"words")),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    ],
    ids=["plain", "chunks", "packed", "packed nothings"],
)
def test_an_endless_body_is_left_where_it_becomes_too_large(host: Host, head: bytes, piece: bytes) -> None:
    has_gone = threading.Event()

    def endless(visit: Visit) -> None:
        visit.send(head)
        with contextlib.suppress(OSError):
            for_ever(visit, piece)
        has_gone.set()

    host.replies["/"] = endless

    with pytest.raises(AnswerRefused, match="1,048,576"):
        fetcher_for(host, body_bytes=MIB).get(f"{host.url}/")

    assert has_gone.wait(10), "the connection of a refused answer is still open"


def test_ten_gigabytes_are_refused_at_the_word(host: Host, fetcher: Fetcher) -> None:
    def boasts(visit: Visit) -> None:
        visit.send(HEAD + b"Content-Length: 10737418240\r\n\r\n")
        visit.keep_silent()

    host.replies["/"] = boasts

    with pytest.raises(AnswerRefused, match="33,554,432"):
        fetcher.get(f"{host.url}/")


def test_a_bomb_is_refused(host: Host, fetcher: Fetcher) -> None:
    host.replies["/"] = page(gzip.compress(bytes(64 * MIB)), "Content-Encoding: gzip")

    with pytest.raises(AnswerRefused, match="33,554,432"):
        fetcher.get(f"{host.url}/")


@pytest.mark.parametrize(
    "dripped",
    [
        (b"", HEAD * 1_000),
        (HEAD + b"\r\n", b"x" * 1_000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x" * 1_000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: x\r\n" * 1_000),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\n\r\n" * 1_000),
        (b"", b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 900\r\n\r\n" + b"x" * 900),
    ],
    ids=["headers", "body", "chunks", "known length", "trailers", "hints", "redirect"],
)
def test_a_byte_every_so_often_ends_at_the_deadline(host: Host, dripped: tuple[bytes, bytes]) -> None:
    at_once, slowly = dripped

    def drips(visit: Visit) -> None:
        visit.send(at_once)
        visit.drip(slowly, every_s=0.03)

    host.replies["/"] = drips

    with pytest.raises(HostIll, match="in time"):
        fetcher_for(host, whole_s=0.3).get(f"{host.url}/")


def test_after_the_deadline_nothing_is_begun(host: Host) -> None:
    with pytest.raises(HostIll, match="in time"):
        fetcher_for(host, whole_s=0).get(f"{host.url}/")

    assert host.connections == 0


def test_a_connection_that_is_torn_down_is_no_answer(host: Host, fetcher: Fetcher) -> None:
    def tears_down(visit: Visit) -> None:
        visit.send(HEAD + b"Content-Length: 9\r\n\r\nbegin")
        visit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    host.replies["/"] = tears_down

    with pytest.raises(HostIll, match="broke off"):
        fetcher.get(f"{host.url}/")


def test_redirects_share_one_deadline(host: Host) -> None:
    def slow(visit: Visit) -> None:
        visit.drip(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", every_s=0.005)

    host.replies["/"] = slow

    with pytest.raises(HostIll, match="in time"):
        fetcher_for(host, whole_s=0.4, redirects=20).get(f"{host.url}/")


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\n", HEAD + b"Content-Length: 9\r\n\r\nbegin"])
def test_silence_ends_after_the_time_for_a_sign_of_life(host: Host, beginning: bytes) -> None:
    def falls_silent(visit: Visit) -> None:
        visit.send(beginning)
        visit.keep_silent()

    host.replies["/"] = falls_silent

    with pytest.raises(HostIll, match="in time"):
        fetcher_for(host, read_s=0.1, whole_s=60).get(f"{host.url}/")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MIB,
        b"HTTP/1.1 200 " + b"x" * MIB,
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * (MIB // 11),
        b"HTTP/1.1 200 OK\r\n" + b"Set-Cookie: a\r\n " * (MIB // 16),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * MIB,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + b"x" * MIB,
    ],
    ids=["line", "status", "lines", "folded", "extension", "trailer"],
)
def test_a_header_of_a_megabyte_is_refused(host: Host, fetcher: Fetcher, head: bytes) -> None:
    host.replies["/"] = lambda visit: visit.send(head + b"\r\n\r\n")

    with pytest.raises(AnswerRefused, match="headers"):
        fetcher.get(f"{host.url}/")


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 20",
        HEAD,
        HEAD + b"Content-Length: 10\r\n\r\n123456789",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n123",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n",
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"many words")[:-4],
        page(gzip.compress(b"many words")[:-4], "Content-Encoding: gzip", "Connection: close"),
    ],
    ids=["status", "headers", "body", "chunk", "chunks", "trailer", "packed", "packed and whole"],
)
def test_an_answer_that_is_cut_is_none(host: Host, fetcher: Fetcher, cut: bytes) -> None:
    host.replies["/"] = lambda visit: visit.send(cut)

    with pytest.raises(HostIll):
        fetcher.get(f"{host.url}/")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"220 mail.example ESMTP\r\n\r\n",
        b"-ERR unknown command\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"<html>\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",
        HEAD + b"X Y: z\r\n\r\n",
        HEAD + b"X: \x00\r\n\r\n",
    ],
)
def test_what_is_no_http_makes_the_host_ill_and_is_not_repeated(host: Host, fetcher: Fetcher, said: bytes) -> None:
    host.replies["/"] = lambda visit: visit.send(said)

    with pytest.raises(HostIll, match=r"^127\.0\.0\.1 broke off, or answered in something else than HTTP\.$"):
        fetcher.get(f"{host.url}/")


def test_what_follows_an_answer_is_not_taken_for_the_next_one(host: Host, fetcher: Fetcher) -> None:
    host.replies |= {"/": page(b"mine") + page(b"smuggled"), "/next": page(b"next")}

    bodies = [fetcher.get(f"{host.url}{target}").body for target in ("/", "/next")]

    assert bodies == [b"mine", b"next"]


def test_a_host_that_wants_another_protocol_gets_no_more_of_ours(host: Host, fetcher: Fetcher) -> None:
    host.replies["/"] = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    host.replies["/next"] = page(b"next")

    with contextlib.suppress(HostIll):
        assert fetcher.get(f"{host.url}/").status == 101

    assert fetcher.get(f"{host.url}/next").body == b"next"
    assert [asked.connection for asked in host.asked] == [1, 2]


def test_a_port_that_nobody_listens_on_makes_the_host_ill() -> None:
    with hosting() as host:
        pass

    with pytest.raises(HostIll, match="can't be connected to"):
        fetcher_for(host).get(f"{host.url}/")
