"""The client's address: a forwarded one is believed only from a proxy that the settings name."""

from ipaddress import ip_address

from flask import request

from common.config import Network
from web.contract.services import services


def client_address() -> str:
    """Return the address of the nearest hop that is not a trusted proxy."""
    trusted = services().settings.trusted_proxies
    hops = [hop.strip() for line in request.headers.getlist("X-Forwarded-For") for hop in line.split(",")]
    address = request.remote_addr or ""
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether *address* is in one of *networks*; what is no address is in none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
