"""How an address of the outside is written: one strict form, so that what is judged is what is called."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urljoin

from common.errors import AddressRefused

URL_CHARS_MAX = 8_192
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_CHARS_MAX = 253
_PORT_MAX = 65_535
_PLAIN = re.compile(r"[!-\[\]-~]+\Z")
_PARTS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?]+)(?P<target>.*)\Z", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[^]]*\]|[^:\[\]]*)(:(?P<port>[1-9][0-9]{0,4}))?\Z")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_NUMBER = re.compile(r"[0-9]+\Z|0x[0-9a-f]*\Z")


@dataclass(frozen=True)
class Url:
    """An address in parts: *host* in small letters, an IPv6 one without brackets; *target* begins with `/`."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Return host and port as a `Host` header has them: a port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return what two addresses must share to be told the same secrets (RFC 6454)."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def read_url(text: str) -> Url:
    """Take *text* apart. Raises `AddressRefused` for what two readers could take for two addresses."""
    _demand_plain(text)
    parts = _PARTS.match(text)
    if parts is None:
        raise AddressRefused("The address does not read like https://host/path.")
    scheme = parts["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise AddressRefused("The address must begin with https://.")
    host, port = read_authority(parts["authority"])
    target = parts["target"] if parts["target"].startswith("/") else "/" + parts["target"]
    return Url(scheme, host, port or DEFAULT_PORTS[scheme], target)


def join(at: Url, reference: str) -> str:
    """Return the address that *reference* means where *at* was read (RFC 3986). Raises `AddressRefused`.

    urllib drops tabs, line ends and what stands before an address: so they are refused before it sees them.
    """
    _demand_plain(reference)
    try:
        return urljoin(str(at), reference)
    except ValueError:
        raise AddressRefused("The address has a host that can't be read.") from None


def read_authority(text: str) -> tuple[str, int | None]:
    """Take `host:port` apart; the port may be missing. Raises `AddressRefused`."""
    if "@" in text:
        raise AddressRefused("The address may hold no user and no password. Give credentials apart from it.")
    parts = _AUTHORITY.match(text)
    if parts is None:
        raise AddressRefused("The address has a host or a port that can't be read.")
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and port > _PORT_MAX:
        raise AddressRefused("The address has a port above 65535.")
    return _host(parts["host"].lower()), port


def _demand_plain(text: str) -> None:
    if len(text) > URL_CHARS_MAX:
        raise AddressRefused(f"The address has more than {URL_CHARS_MAX:,} characters.")
    if "#" in text:
        raise AddressRefused("The address has a fragment (#), which no server is told.")
    if not _PLAIN.match(text):
        raise AddressRefused(
            "The address holds a space, a backslash, a control character or one beyond ASCII. Percent-encode it."
        )


def _host(host: str) -> str:
    if host.startswith("["):
        return _ipv6(host[1:-1])
    if _NUMBER.match(host.rpartition(".")[2]):
        return _ipv4(host)
    if len(host) > _HOST_CHARS_MAX or not _NAME.match(host):
        raise AddressRefused(
            "The host is no name in plain letters, digits, dashes and dots. Write an international one as xn--…, "
            "and none with a dot at its end."
        )
    return host


def _ipv4(host: str) -> str:
    """Take the usual form only: many libraries read 127.1, 0x7f.1 and 2130706433 as 127.0.0.1, others do not."""
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        raise AddressRefused("The host is an IPv4 address in an unusual form. Write it as 192.0.2.1.") from None


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise AddressRefused("The host is no IPv6 address.") from None
    if address.scope_id is not None:
        raise AddressRefused("The host is an address with a zone, which only this machine could know.")
    return str(address)
