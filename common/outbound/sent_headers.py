"""The headers of a call: what its maker wants to say, never what is the connection's own to say."""

import re
from collections.abc import Mapping

from common.errors import AddressRefused
from common.outbound.url import Url

HEADER_CHARS_MAX = 8_192
_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]{1,100}\Z")
_VALUE = re.compile(r"([!-~]([ -~\t]*[!-~])?)?\Z")
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host"}
    | {"keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_DEFAULTS = {"user-agent": "fairway", "accept": "application/json, */*;q=0.5"}


def header_lines(url: Url, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the lines to send. Raises `AddressRefused`, which never repeats a value: it may be a secret.

    A host or a framing of the caller's own would let it reach what lies behind the address that was judged.
    """
    lines = [(b"host", url.authority.encode("ascii")), (b"accept-encoding", b"gzip, deflate")]
    said = _DEFAULTS | {name.lower(): value for name, value in headers.items()}
    for name, value in said.items():
        _demand_harmless(name, value)
        lines.append((name.encode("ascii"), value.encode("ascii")))
    return lines


def _demand_harmless(name: str, value: str) -> None:
    if not _NAME.match(name):
        raise AddressRefused("A header of the call has a name that no header may have.")
    if name in _OURS or name.startswith("proxy-"):
        raise AddressRefused(f"The header {name} is not the caller's to set.")
    if len(value) > HEADER_CHARS_MAX or not _VALUE.match(value):
        raise AddressRefused(f"The header {name} is too long, or holds what no header may.")
