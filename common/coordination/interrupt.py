"""Raises an error in the thread that is at work, from another; between two of its bytecodes, so not inside C."""

import ctypes
import threading

_STEPS = 100


class Interrupter:
    """Raises *error*, made without arguments, at most once in the thread that made this, until it is disarmed."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._lock = threading.Lock()
        self._is_armed = True
        self._is_fired = False

    def fire(self) -> None:
        """Raise the error there, unless it was disarmed or fired before."""
        with self._lock:
            if self._is_armed:
                self._is_armed, self._is_fired = False, True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(self._error))

    def disarm(self) -> None:
        """Let nothing be raised from now on, also what was fired a moment ago; call it in the thread itself.

        What was fired and is still on its way is awaited here. It must not be taken back: CPython 3.11 then leaves
        its signal standing, which slows the process down for good, and stops it where it is traced.
        """
        try:
            with self._lock:
                self._is_armed = False
            for _ in range(_STEPS if self._is_fired else 0):
                pass  # it is raised at one of the first of these steps, unless it was raised before
        except self._error:
            return
