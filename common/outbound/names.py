"""From a host's name to its addresses, within a time: the system's resolver takes as long as it likes."""

import socket
import threading
from collections.abc import Callable, Sequence

from common.errors import HostIll

LookUp = Callable[[str, float], Sequence[str]]
"""Returns the addresses of a name, within so many seconds. Raises `HostIll`."""


def look_up(host: str, within_s: float) -> Sequence[str]:
    """Ask the system's resolver for the addresses of *host*, the best first. Raises `HostIll`.

    The asking can't be stopped. One that is too slow ends in a thread of its own, which holds up nobody.
    """
    found: list[Sequence[str]] = []
    thread = threading.Thread(target=lambda: found.append(_ask(host)), name="look-up", daemon=True)
    thread.start()
    thread.join(within_s)
    if not found:
        raise HostIll(f"No name server said in time where {host} is.")
    if not found[0]:
        raise HostIll(f"No name server knows where {host} is.")
    return found[0]


def _ask(host: str) -> Sequence[str]:
    """Return the addresses, or none: to the caller it is all one why the resolver has no answer."""
    try:
        infos = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
