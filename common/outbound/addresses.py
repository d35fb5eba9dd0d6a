"""Which addresses may be called: by https, on two ports, on the public network; and what the operator allows."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from common.errors import AddressRefused, HostIll
from common.outbound.allowed_host import AllowedHost
from common.outbound.inside import is_inside
from common.outbound.names import LookUp, look_up
from common.outbound.url import Url, read_url

PORTS = frozenset({443, 8443})
LOOK_UP_S = 10.0
_ADDRESSES_MAX = 8
Address = IPv4Address | IPv6Address


class Addresses:
    """Judges addresses, as they are written and as they resolve; *allowed* hosts may lie inside."""

    def __init__(self, allowed: Sequence[AllowedHost] = (), *, look_up: LookUp = look_up) -> None:
        self._allowed = frozenset(allowed)
        self._look_up = look_up

    def check_url(self, text: str) -> Url:
        """Judge an address by its writing alone, asking no name server. Raises `AddressRefused`."""
        url = read_url(text)
        if self._is_allowed(url):
            return url
        if url.scheme != "https":
            raise AddressRefused("The address must begin with https://.")
        if url.port not in PORTS:
            raise AddressRefused("The address may name the ports 443 and 8443 only.")
        self._demand_outside(url)
        return url

    def resolve(self, url: Url, *, within_s: float = LOOK_UP_S) -> Sequence[Address]:
        """Return the addresses that *url* may be called at: connect to one of them, and look up nothing again.

        One question to the name servers. A name with any address inside is refused as a whole. Raises
        `AddressRefused`, which does not say where inside, and `HostIll` if the name leads nowhere.
        """
        literal = _literal(url.host)
        found = [literal] if literal else _read(url.host, self._look_up(url.host, within_s))
        if not self._is_allowed(url) and any(is_inside(address) for address in found):
            raise _inside(url.host)
        return found[:_ADDRESSES_MAX]

    def _is_allowed(self, url: Url) -> bool:
        return AllowedHost(url.host, url.port) in self._allowed

    def _demand_outside(self, url: Url) -> None:
        literal = _literal(url.host)
        is_local = "." not in url.host if literal is None else is_inside(literal)
        if is_local:
            raise _inside(url.host)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _read(host: str, found: Sequence[str]) -> Sequence[Address]:
    try:
        return [ip_address(address) for address in found]
    except ValueError:
        raise HostIll(f"A name server said of {host} what is no address.") from None


def _inside(host: str) -> AddressRefused:
    return AddressRefused(f"{host} is not on the public network, and nothing else may be called.")
