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


def main() -> None:
    """Serve the socket that is this process's standard input."""
    logging.disable()
    warnings.simplefilter("ignore")
    with socket.socket(fileno=os.dup(0)) as sock:
        gauge = Gauge()
        confine()
        sock.sendall(READY)
        while (asked := receive_request(sock)) is not None:
            request, descriptor = asked
            is_spent = _serve(sock, request, descriptor, gauge)
            os.close(descriptor)
            if is_spent:
                return


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
