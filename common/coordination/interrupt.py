"""Raises an error in the thread that is at work, from another; between two of its bytecodes, so not inside C."""

import ctypes
import threading


class Interrupter:
    """Raises *error*, made without arguments, at most once in the thread that made this, until it is disarmed."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._lock = threading.Lock()
        self._is_armed = True

    def fire(self) -> None:
        """Raise the error there, unless it was disarmed or fired before."""
        with self._lock:
            if self._is_armed:
                self._is_armed = False
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(self._error))

    def disarm(self) -> None:
        """Let nothing be raised from now on, also what was fired a moment ago; call it in the thread itself."""
        try:
            self._disarm()
        except self._error:  # it arrived in here
            self._disarm()

    def _disarm(self) -> None:
        with self._lock:
            self._is_armed = False
        ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)
