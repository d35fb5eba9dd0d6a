"""The client's address: a forwarded one is believed only from a proxy that the settings name."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from flask import request

from common.config import Network
from web.contract.services import services

_ONE_SUBSCRIBER = 64
"""How long the prefix is that one IPv6 subscriber gets; within it, addresses cost nothing."""


def client_address() -> str:
    """Return the address of the nearest hop that is not a trusted proxy.

    A hop that is no address ends the search at the proxy that passed it on.
    """
    trusted = services().settings.trusted_proxies
    hops = [hop.strip() for line in request.headers.getlist("X-Forwarded-For") for hop in line.split(",")]
    address = request.remote_addr or ""
    while hops and is_within(address, trusted) and _read(hops[-1]) is not None:
        address = hops.pop()
    return address


def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether *address* is in one of *networks*; what is no address is in none."""
    parsed = _read(address)
    return parsed is not None and any(parsed in network for network in networks)


def subscriber(address: str) -> str:
    """Return whom to count attempts of *address* for: itself, or the /64 of an IPv6 address."""
    parsed = _read(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _ONE_SUBSCRIBER), strict=False))
    return str(parsed or "")


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; an IPv4 one that came over an IPv6 socket is what it was."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed
