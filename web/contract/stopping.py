"""Whether this process is asked to stop, so that a long poll answers now instead of being cut off later."""

import signal
import socket
import threading

_asked = threading.Event()
_ends: list[socket.socket] = []


def notice() -> None:
    """Notice SIGTERM and SIGINT from now on, beside whoever handles them. Call it in the main thread.

    The server sets its own handlers after us; the wake-up file descriptor is told of a signal whoever handles it.
    A server that needs that descriptor itself keeps it, and its long polls end by themselves.
    """
    reader, writer = socket.socketpair()
    writer.settimeout(0)  # the descriptor must not block
    taken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    if taken != -1:
        signal.set_wakeup_fd(taken)
        return
    _ends[:] = [reader, writer]  # kept open: a closed end would make every signal an error
    threading.Thread(target=_listen, args=(reader,), name="stopping", daemon=True).start()


def wait(seconds: float) -> bool:
    """Wait so long, or until the process is asked to stop; tell whether it is."""
    return _asked.wait(seconds)


def is_asked() -> bool:
    """Tell whether the process is asked to stop."""
    return _asked.is_set()


def _listen(reader: socket.socket) -> None:
    while received := reader.recv(64):
        if {signal.SIGTERM, signal.SIGINT} & set(received):
            _asked.set()
            return
