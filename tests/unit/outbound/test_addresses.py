"""Which addresses may be called, as they are written and as they resolve."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import AddressRefused, HostIll
from common.outbound.addresses import Addresses
from common.outbound.allowed_host import AllowedHost
from common.outbound.inside import is_inside
from tests.unit.outbound.test_inside import INSIDE

PUBLIC = ["140.82.121.6", "2606:4700:4700::1111"]
ADDRESSES = Addresses()


def names(**found: Sequence[str]) -> Addresses:
    """Return a judge that knows the names of `found` under .example, and that a printer inside may be called."""

    def look_up(host: str, within_s: float) -> Sequence[str]:
        del within_s
        return found[host.removesuffix(".example")]

    return Addresses([AllowedHost("printer.example", 631)], look_up=look_up)


@pytest.mark.parametrize(
    "text",
    [
        "https://api.example/a?b",
        "https://api.example:8443/",
        "https://140.82.121.6/",
        "https://[2606:4700:4700::1111]/",
        "https://[64:ff9b::140.82.121.6]/",
    ],
)
def test_https_to_the_public_network_may_be_called(text: str) -> None:
    assert str(ADDRESSES.check_url(text)).startswith("https://")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_the_inside_may_not(address: str) -> None:
    host = f"[{address}]" if ":" in address else address

    with pytest.raises(AddressRefused, match="not on the public network"):
        ADDRESSES.check_url(f"https://{host}/")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "redis", "mongo", "printer"])
def test_a_name_that_only_the_inside_can_know_may_not(host: str) -> None:
    with pytest.raises(AddressRefused, match="not on the public network"):
        ADDRESSES.check_url(f"https://{host}/")


@pytest.mark.parametrize("port", [1, 22, 25, 80, 442, 444, 6379, 8080, 8444, 27017, 65535])
def test_another_port_may_not(port: int) -> None:
    with pytest.raises(AddressRefused, match="443 and 8443"):
        ADDRESSES.check_url(f"https://api.example:{port}/")


@pytest.mark.parametrize(
    "text", ["http://api.example/", "http://api.example:443/", "http://140.82.121.6/", "http://127.0.0.1:6379"]
)
def test_nothing_is_called_in_clear(text: str) -> None:
    with pytest.raises(AddressRefused, match="https://"):
        ADDRESSES.check_url(text)


def test_what_the_operator_allows_may_be_called_on_that_port_only() -> None:
    addresses = Addresses([AllowedHost("127.0.0.1", 8099), AllowedHost("::1", 8099), AllowedHost("replay", 80)])

    for allowed in ("http://127.0.0.1:8099/", "https://127.0.0.1:8099/", "http://[0::1]:8099/", "http://replay/"):
        assert addresses.check_url(allowed)
    for other in (
        "http://127.0.0.1/",
        "http://127.0.0.1:8098/",
        "http://127.0.0.2:8099/",
        "https://127.0.0.1/",
        "http://127.1:8099/",
        "http://[::ffff:127.0.0.1]:8099/",
        "http://localhost:8099/",
        "https://replay/",
        "http://replay:8099/",
    ):
        with pytest.raises(AddressRefused):
            addresses.check_url(other)


def test_a_name_is_called_at_the_addresses_it_has() -> None:
    addresses = names(api=PUBLIC)

    found = addresses.resolve(addresses.check_url("https://api.example/"))

    assert found == [ip_address(address) for address in PUBLIC]


@pytest.mark.parametrize("address", [*INSIDE, "fe80::1%eth0"])
def test_a_name_with_any_address_inside_is_refused_and_the_refusal_does_not_say_where(address: str) -> None:
    addresses = names(api=[*PUBLIC, address])

    with pytest.raises(AddressRefused, match="not on the public network") as refused:
        addresses.resolve(addresses.check_url("https://api.example/"))

    assert address not in refused.value.detail.split()


def test_an_allowed_name_may_lie_inside() -> None:
    addresses = names(printer=["10.0.0.7"])

    found = addresses.resolve(addresses.check_url("http://printer.example:631/"))

    assert found == [ip_address("10.0.0.7")]
    with pytest.raises(AddressRefused):
        addresses.resolve(addresses.check_url("https://printer.example/"))


def test_no_name_server_is_asked_where_an_address_is() -> None:
    addresses = names()

    found = addresses.resolve(addresses.check_url("https://140.82.121.6/"))

    assert found == [ip_address("140.82.121.6")]


def test_a_name_of_very_many_addresses_is_called_at_a_few() -> None:
    addresses = names(api=[f"8.8.{high}.{low}" for high in range(10) for low in range(100)])

    assert len(addresses.resolve(addresses.check_url("https://api.example/"))) == 8


def test_an_answer_of_a_name_server_that_is_no_address_makes_the_host_ill() -> None:
    addresses = names(api=["not-an-address"])

    with pytest.raises(HostIll, match=r"api\.example"):
        addresses.resolve(addresses.check_url("https://api.example/"))


@given(st.ip_addresses(v=4).filter(is_inside), st.sampled_from(["d", "x", "X", "o"]), st.integers(1, 4))
def test_no_spelling_of_an_inside_address_passes(address: object, base: str, parts: int) -> None:
    octets = bytes(int(part) for part in str(address).split("."))
    numbers = [*octets[: parts - 1], int.from_bytes(octets[parts - 1 :])]
    written = {"d": "{}", "x": "0x{:x}", "X": "0X{:X}", "o": "0{:o}"}[base]
    host = ".".join(written.format(number) for number in numbers)

    with pytest.raises(AddressRefused):
        ADDRESSES.check_url(f"https://{host}/")
