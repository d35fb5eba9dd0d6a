"""A name is looked up once, and what was judged is what is connected to; TLS then proves the name."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from common.errors import AddressRefused, HostIll
from common.outbound.addresses import Addresses
from common.outbound.allowed_host import AllowedHost
from common.outbound.fetcher import Fetcher, FetchLimits
from tests.integration.outbound.certificates import Authority
from tests.integration.outbound.conftest import Resolver
from tests.integration.outbound.host import Host, Visit, hosting, page, redirect

PUBLIC, SECOND = "140.82.121.6", "2606:4700:4700::1111"
URL = "https://api.example/"


@pytest.fixture
def host(authority: Authority) -> Iterator[Host]:
    """Return a host that proves to be api.example."""
    with hosting(authority.server("api.example")) as host:
        host.replies["/"] = page(b"here")
        yield host


class Wires:
    """Leads what is connected to the public network to a host of ours, and notes where it was to go.

    No name server of the system is asked: whoever tries fails the test.
    """

    def __init__(self) -> None:
        self.connected: list[tuple[str, int]] = []
        self.dead: set[str] = set()
        self.port = 0

    def connect(self, address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        self.connected.append(address)
        if address[0] in self.dead:
            raise ConnectionRefusedError
        sock = socket.socket()
        sock.connect(("127.0.0.1", self.port))
        return sock


def asks_nobody(*_: object, **__: object) -> None:
    pytest.fail("a name was looked up again")


@pytest.fixture
def wires(host: Host, monkeypatch: pytest.MonkeyPatch) -> Wires:
    wires = Wires()
    wires.port = host.port
    monkeypatch.setattr(socket, "create_connection", wires.connect)
    monkeypatch.setattr(socket, "getaddrinfo", asks_nobody)
    return wires


@pytest.fixture
def fetcher(authority: Authority, resolver: Resolver) -> Iterator[Fetcher]:
    fetcher = Fetcher(Addresses(look_up=resolver), trust=authority.trust())
    yield fetcher
    fetcher.close()


def test_the_address_that_was_judged_is_connected_to(wires: Wires, fetcher: Fetcher, resolver: Resolver) -> None:
    resolver.known["api.example"] = [[PUBLIC], ["127.0.0.1"]]

    answers = [fetcher.get(URL).body for _ in range(3)]

    assert answers == [b"here"] * 3
    assert wires.connected == [(PUBLIC, 443)]
    assert resolver.asked == ["api.example"]


def test_a_name_that_has_moved_inside_since_is_refused_when_it_is_next_connected_to(
    host: Host, wires: Wires, fetcher: Fetcher, resolver: Resolver
) -> None:
    resolver.known["api.example"] = [[PUBLIC], ["127.0.0.1"]]
    host.replies["/"] = page(b"here", "Connection: close")
    fetcher.get(URL)

    with pytest.raises(AddressRefused, match=r"^api\.example is not on the public network"):
        fetcher.get(URL)

    assert wires.connected == [(PUBLIC, 443)]
    assert resolver.asked == ["api.example"] * 2


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00:ec2::254"]
)
def test_a_name_that_lies_inside_is_not_connected_to(
    wires: Wires, fetcher: Fetcher, resolver: Resolver, inside: str
) -> None:
    resolver.known["api.example"] = [[PUBLIC, inside]]

    with pytest.raises(AddressRefused):
        fetcher.get(URL)

    assert wires.connected == []


def test_a_redirect_to_a_name_that_lies_inside_is_not_followed(
    host: Host, wires: Wires, fetcher: Fetcher, resolver: Resolver
) -> None:
    resolver.known |= {"api.example": [[PUBLIC]], "inside.example": [["10.0.0.1"]]}
    host.replies["/"] = redirect("https://inside.example/")

    with pytest.raises(AddressRefused, match=r"inside\.example"):
        fetcher.get(URL, secret_headers={"Authorization": "hush"})

    assert wires.connected == [(PUBLIC, 443)]


def test_the_next_address_is_tried_if_one_is_dead(wires: Wires, fetcher: Fetcher, resolver: Resolver) -> None:
    resolver.known["api.example"] = [[SECOND, PUBLIC]]
    wires.dead.add(SECOND)

    assert fetcher.get(URL).body == b"here"
    assert wires.connected == [(SECOND, 443), (PUBLIC, 443)]


def test_a_host_all_of_whose_addresses_are_dead_is_ill(wires: Wires, fetcher: Fetcher, resolver: Resolver) -> None:
    resolver.known["api.example"] = [[SECOND, PUBLIC]]
    wires.dead |= {SECOND, PUBLIC}

    with pytest.raises(HostIll, match=r"^api\.example can't be connected to\.$"):
        fetcher.get(URL)


def test_a_name_without_any_address_makes_its_host_ill(wires: Wires, fetcher: Fetcher, resolver: Resolver) -> None:
    resolver.known["api.example"] = [[]]

    with pytest.raises(HostIll, match=r"^api\.example can't be connected to\.$"):
        fetcher.get(URL)

    assert wires.connected == []


def test_other_names_of_one_address_share_no_connection(
    wires: Wires, fetcher: Fetcher, resolver: Resolver
) -> None:
    resolver.known |= {"api.example": [[PUBLIC]], "other.example": [[PUBLIC]]}
    fetcher.get(URL)

    with pytest.raises(HostIll, match=r"certificate of other\.example"):
        fetcher.get("https://other.example/")

    assert wires.connected == [(PUBLIC, 443)] * 2


@pytest.mark.parametrize(
    ("name", "certificate", "why"),
    [
        ("api.example", {"ended": timedelta(days=1)}, "expired"),
        ("other.example", {}, "mismatch"),
        ("*.other.example", {}, "mismatch"),
        ("api.example", {"signs_itself": True}, "self-signed"),
    ],
)
def test_a_certificate_that_proves_nothing_ends_the_call_before_anything_is_said(
    authority: Authority, resolver: Resolver, name: str, certificate: dict[str, object], why: str
) -> None:
    resolver.known["api.example"] = [["127.0.0.1"]]
    with hosting(authority.server(name, **certificate)) as host:
        addresses = Addresses([AllowedHost("api.example", host.port)], look_up=resolver)
        fetcher = Fetcher(addresses, trust=authority.trust())

        with pytest.raises(HostIll, match=rf"certificate of api\.example can't be trusted: .*{why}"):
            fetcher.get(f"https://api.example:{host.port}/", secret_headers={"Authorization": "hush"})

        assert host.asked == []


def test_an_authority_that_the_system_does_not_know_proves_nothing(
    authority: Authority, resolver: Resolver
) -> None:
    resolver.known["api.example"] = [["127.0.0.1"]]
    with hosting(authority.server("api.example")) as host:
        addresses = Addresses([AllowedHost("api.example", host.port)], look_up=resolver)

        with pytest.raises(HostIll, match="can't be trusted"):
            Fetcher(addresses).get(f"https://api.example:{host.port}/")

        assert host.asked == []


def test_an_address_is_proven_like_a_name(authority: Authority) -> None:
    with hosting(authority.server("127.0.0.1")) as host:
        host.replies["/"] = page(b"here")
        fetcher = Fetcher(Addresses([AllowedHost("127.0.0.1", host.port)]), trust=authority.trust())

        assert fetcher.get(f"https://127.0.0.1:{host.port}/").body == b"here"


def test_a_host_that_speaks_no_tls_is_told_nothing() -> None:
    with hosting() as host:
        fetcher = Fetcher(Addresses([AllowedHost("127.0.0.1", host.port)]), FetchLimits(connect_s=1))

        with pytest.raises(HostIll):
            fetcher.get(f"https://127.0.0.1:{host.port}/", secret_headers={"Authorization": "hush"})

        assert host.asked == []


def test_a_host_that_greets_in_clear_where_tls_is_due_is_ill() -> None:
    with socket.create_server(("127.0.0.1", 0)) as greeter:
        port = greeter.getsockname()[1]
        fetcher = Fetcher(Addresses([AllowedHost("127.0.0.1", port)]))

        def greet() -> None:
            sock, _ = greeter.accept()
            with sock:
                sock.sendall(b"220 mail.example ESMTP\r\n")
                sock.recv(65_536)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()

        with pytest.raises(HostIll, match="a way to speak TLS"):
            fetcher.get(f"https://127.0.0.1:{port}/")

        thread.join(10)


def test_a_handshake_that_never_ends_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        fetcher = Fetcher(Addresses([AllowedHost("127.0.0.1", port)]), FetchLimits(connect_s=0.1))

        with pytest.raises(HostIll, match="in time"):
            fetcher.get(f"https://127.0.0.1:{port}/")


def test_a_body_over_tls_that_drips_ends_at_the_deadline(authority: Authority, resolver: Resolver) -> None:
    resolver.known["api.example"] = [["127.0.0.1"]]

    def drips(visit: Visit) -> None:
        visit.drip(page(b"x" * 1_000), every_s=0.03)

    with hosting(authority.server("api.example")) as host:
        host.replies["/"] = drips
        addresses = Addresses([AllowedHost("api.example", host.port)], look_up=resolver)
        fetcher = Fetcher(addresses, FetchLimits(whole_s=0.5), trust=authority.trust())

        with pytest.raises(HostIll, match="in time"):
            fetcher.get(f"https://api.example:{host.port}/")
