"""A child dies with its parent, even when the parent is killed outright (Linux: PR_SET_PDEATHSIG)."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send *number* to this process when its parent ends; elsewhere nothing is promised."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number)
