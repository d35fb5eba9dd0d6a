"""Places: so many requests are worked on at a time; one that only waits gives its place up and waits elsewhere.

A stream, a long poll or a slow sender holds a thread and no place, so that a thousand of them leave the others as
much of the processor as before. There is room for so many in a process, and then for none.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from flask import Flask, current_app, g, request

from common.config import Settings
from common.errors import Unavailable
from web.contract.probes import is_probe

TURN_WITHIN_S = 30.0
FULL_RETRY_S = 5


class Places:
    """The places of one process: some to work in, others to wait in."""

    def __init__(self, working: int, waiting: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(working):
            self._free.put(None)
        self._lock = threading.Lock()
        self._room = waiting

    def enter(self) -> None:
        """Take a place to work in, in the order of asking. Raises `Unavailable` if none is free for too long."""
        try:
            self._free.get(timeout=TURN_WITHIN_S)
        except Empty:
            raise Unavailable("This process has too much to do. Try again.", retry_after_s=FULL_RETRY_S) from None

    def leave(self) -> None:
        """Give a place to work in back."""
        self._free.put(None)

    def sit(self) -> bool:
        """Take a place to wait in; tell whether there was one."""
        with self._lock:
            if self._room <= 0:
                return False
            self._room -= 1
            return True

    def rise(self) -> None:
        """Give a place to wait in back."""
        with self._lock:
            self._room += 1


def register(app: Flask, settings: Settings) -> None:
    """Let the requests of *app* take turns."""
    app.extensions["fairway.places"] = Places(settings.http_threads, settings.http_streams)
    app.before_request(_enter_unless_probed)
    app.teardown_request(_give_back)


def places() -> Places:
    """Return the places of this process."""
    found: Places = current_app.extensions["fairway.places"]
    return found


@contextmanager
def waiting() -> Iterator[bool]:
    """Let somebody else work meanwhile; the block is told whether there is room to wait at all."""
    here = places()
    if not here.sit():
        yield False
        return
    had_place = _leave()
    try:
        yield True
    finally:
        here.rise()
        if had_place:
            _enter()


def _enter_unless_probed() -> None:
    if not is_probe(request.path):
        _enter()


def _enter() -> None:
    places().enter()
    g.has_place = True


def _give_back(_: BaseException | None) -> None:
    _leave()


def _leave() -> bool:
    """Give back the request's place; tell whether it had one: who waited in vain for a turn has none."""
    if not g.pop("has_place", False):
        return False
    places().leave()
    return True
