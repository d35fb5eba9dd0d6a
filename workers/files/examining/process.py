"""The child as its examiner sees it: started, asked, listened to for so long, and killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from common.errors import Unavailable
from workers.files.examining.answers import Answer, Unbelievable, believe
from workers.files.examining.wire import ANSWER_MAX_BYTES, READY, Request, send_request

# Isolated from its user's environment and packages; the folder it starts in is where ours are found.
COMMAND = (sys.executable, "-E", "-s", "-m", "workers.files.examining.child")
START_LIMIT_S = 30.0
_FOLDER = Path(__file__).resolve().parents[3]
# With no PATH at all the system's default would be searched, for a compiler among others (ctypes).
_ENVIRONMENT = {"PATH": "", "LANG": "C.UTF-8"}
_CHUNK_BYTES = 64 * 1024
_REAPED_WITHIN_S = 10.0


class ChildFailed(Exception):
    """The child gave no answer that can be used; *sentence* says why, to whoever brought the file."""

    sentence = "The file could not be looked into."


class TooSlow(ChildFailed):
    """The limit of time, of the processor or of the clock, is over."""

    sentence = "Looking into the file took too long."


class TooMuch(ChildFailed):
    """The answer is over its bound, or none that is believed."""

    sentence = "What is in the file could not be made sense of."


class Died(ChildFailed):
    """The child ended; the content that it was at may be to blame, or one before it, or neither."""

    sentence = "The file broke the program that looked into it."


class Child:
    """One running child. It ends with its socket, and with the thread that started it (`confinement`)."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        """Start a child and wait until it is confined. Raises `Unavailable` if it does not come up."""
        self._heard = b""
        self._socket, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self._socket.close)
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=_FOLDER,
                env=_ENVIRONMENT,
                start_new_session=True,  # what is typed at the worker's terminal is not for it
            )
            undo.pop_all()
        try:
            self._await_ready()
        except BaseException:
            self.kill()
            raise

    @property
    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def ask(self, request: Request, descriptor: int) -> None:
        """Send a request; an answer for each of its parts is to be fetched. Raises `ChildFailed`."""
        if self._heard:
            raise TooMuch
        self._socket.settimeout(START_LIMIT_S)
        try:
            send_request(self._socket, request, descriptor)
        except TimeoutError as error:
            raise TooSlow from error
        except OSError as error:
            raise self._ended() from error

    def answer(self, limit_s: float) -> Answer:
        """Wait for the next answer, *limit_s* at most. Raises `ChildFailed`."""
        line = self._line(limit_s)
        try:
            return believe(line)
        except Unbelievable as error:
            raise TooMuch from error

    def kill(self) -> None:
        """End the child and whatever it started, and reap it."""
        self._socket.close()
        if self._process.returncode is None:  # not reaped, so the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reap()

    def _await_ready(self) -> None:
        try:
            line = self._line(START_LIMIT_S)
        except ChildFailed as error:
            raise Unavailable("The program that examines files does not start.") from error
        if line != READY:
            raise Unavailable("The program that examines files does not start as it should.")

    def _line(self, limit_s: float) -> bytes:
        until = time.monotonic() + limit_s
        while b"\n" not in self._heard:
            if len(self._heard) > ANSWER_MAX_BYTES:
                raise TooMuch
            self._heard += self._receive(until - time.monotonic())
        line, _, self._heard = self._heard.partition(b"\n")
        return line + b"\n"

    def _receive(self, limit_s: float) -> bytes:
        if limit_s <= 0:
            raise TooSlow
        self._socket.settimeout(limit_s)
        try:
            chunk = self._socket.recv(_CHUNK_BYTES)
        except TimeoutError as error:
            raise TooSlow from error
        except OSError as error:
            raise self._ended() from error
        if not chunk:
            raise self._ended()
        return chunk

    def _ended(self) -> ChildFailed:
        """Tell from how the child ended what it failed at."""
        self._reap()
        return TooSlow() if self._process.returncode == -signal.SIGPROF else Died()

    def _reap(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAPED_WITHIN_S)
