"""The process that examines: it gives up what it does not need, then answers requests until its examiner is gone.

It has no logs and no credentials, and may be killed at any moment.
"""

import logging
import os
import socket
import warnings

from workers.files.examining.answers import say
from workers.files.examining.confinement import Gauge, confine, renew_cpu_limit
from workers.files.examining.content import Content
from workers.files.examining.reading import examine, name
from workers.files.examining.wire import READY, Request, receive_request

IDLE_S = 60.0
"""How long it waits for something to do; then it ends, and its memory is free."""


def main() -> None:
    """Serve the socket that is this process's standard input."""
    logging.disable()
    warnings.simplefilter("ignore")
    with socket.socket(fileno=os.dup(0)) as sock:
        gauge = Gauge()
        confine()
        sock.sendall(READY)
        sock.settimeout(IDLE_S)
        while (asked := _next_request(sock)) is not None:
            request, descriptor = asked
            is_spent = _serve(sock, request, descriptor, gauge)
            os.close(descriptor)
            if is_spent:
                return


def _next_request(sock: socket.socket) -> tuple[Request, int] | None:
    """Return the next request; none when the examiner is gone, or has nothing to ask for long."""
    try:
        return receive_request(sock)
    except TimeoutError:
        return None


def _serve(sock: socket.socket, request: Request, descriptor: int, gauge: Gauge) -> bool:
    """Answer each part; returns whether to end, because a content took memory that the next may need."""
    for part in request.parts:
        renew_cpu_limit()
        content = Content(descriptor, part.offset, part.held_bytes, part.size_bytes)
        findings = name(content) if request.type_only else examine(content)
        is_spent = gauge.is_half_full()
        sock.sendall(say(findings, is_last=is_spent))
        if is_spent:
            return True
    return False


if __name__ == "__main__":
    main()
