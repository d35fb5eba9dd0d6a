"""Which addresses are inside, or nobody's: what a tenant may not make us call.

The networks are those of the IANA registries of special-purpose addresses (RFC 6890 and its updates), written out,
because what `ipaddress` calls global changed between releases of Python.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_INSIDE_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; some clouds keep their metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by its number, yet a cloud's own host for its machines
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_OUTSIDE_6 = IPv6Network("2000::/3")
"""What is given out as global unicast: no loopback, unique local, link-local, multicast or mapped IPv4."""
_INSIDE_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols' own, with Teredo, which carries an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_inside(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether *address* is anything but a host of the public network.

    Behind NAT64 every IPv4 host has an address under `64:ff9b::/96`, and is judged by the IPv4 address in it.
    """
    if isinstance(address, IPv4Address):
        return any(address in network for network in _INSIDE_4)
    if address in _NAT64:
        return is_inside(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address not in _OUTSIDE_6 or any(address in network for network in _INSIDE_6)
