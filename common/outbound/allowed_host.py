"""What the operator lets be called although it lies inside, as the settings say it: `host:port`."""

from dataclasses import dataclass

from common.errors import AddressRefused, Misconfigured
from common.outbound.url import read_authority


@dataclass(frozen=True)
class AllowedHost:
    """A host that may be called on one port wherever it lies, also in clear."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "AllowedHost":
        """Read `name:8099`, `127.0.0.1:8099` or `[::1]:8099`. Raises `Misconfigured`."""
        try:
            host, port = read_authority(text)
        except AddressRefused as error:
            raise Misconfigured(f"{text!r} is no host:port. {error.detail}") from None
        if port is None:
            raise Misconfigured(f"{text!r} names no port. Write it as {text}:8099.")
        return cls(host, port)
