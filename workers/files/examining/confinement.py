"""What the child gives up before it reads anything: rights it does not need, and resources beyond its share.

Always: memory, files (none can be written), descriptors, core dumps, new privileges; it ends with its parent.
Where the kernel lets us: the network (a namespace of its own), and all of the file system but its own code.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

MEMORY_MAX_BYTES = 512 * 1024 * 1024
CPU_LIMIT_S = 6
_DESCRIPTORS_MAX = 32
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
# Landlock's calls and what it can forbid (linux/landlock.h); the numbers are the same on every architecture.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION_FLAG = 1
_LANDLOCK_PATH_BENEATH = 1
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_MAY_READ_FILE, _MAY_READ_FOLDER = 1 << 2, 1 << 3
# Where shared libraries lie that a package of Python's stands on.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_libc = ctypes.CDLL(None, use_errno=True)


def confine() -> None:
    """Give up what is not needed. Call it once, when what reads is loaded and before anything is read."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whatever the worker makes of it
    _leave_the_network()
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_MAX_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS_MAX),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _leave_the_files(_own_code())
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # last: a change of rights forgets it


class Gauge:
    """Tell how much memory this process has taken, as its limit counts it. Make it before `confine`."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def is_half_full(self) -> bool:
        """Tell whether the next content may lack memory that this one took; peaks that are over do not count."""
        pages = int(os.pread(self._statm, 32, 0).split(maxsplit=1)[0])
        return pages * resource.getpagesize() > MEMORY_MAX_BYTES // 2


def renew_cpu_limit(limit_s: float = CPU_LIMIT_S) -> None:
    """Let this process use the processor for *limit_s* from now on; then SIGPROF ends it.

    RLIMIT_CPU counts from the start and in another way than any clock that a process can read: what is added to it
    for each content would be off by more and more.
    """
    signal.setitimer(signal.ITIMER_PROF, limit_s)


def _leave_the_network() -> None:
    """Move into a network without interfaces; needs the right to, or leave to make a user namespace."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _own_code() -> list[Path]:
    """Return where Python, its packages and our own modules lie; not the folder that holds these, and settings."""
    ours = Path(__file__).resolve().parents[3]
    paths = {Path(path).resolve() for path in (*sys.path, *_LIBRARIES, f"{sys.base_prefix}/lib")} - {ours}
    return [path for path in (*paths, ours / "common", ours / "workers") if path.exists()]


def _leave_the_files(readable: Iterable[Path]) -> None:
    """Let this process read below *readable* only, and write nowhere; without Landlock nothing changes."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION_FLAG)
    if version < 1:
        return
    rights = (1 << _RIGHTS_BY_VERSION.get(version, 16)) - 1
    handled = struct.pack("=Q", rights)
    rules = _libc.syscall(_LANDLOCK_CREATE, handled, len(handled), 0)
    for path in readable:
        _allow(rules, path)
    _libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _allow(rules: int, path: Path) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    may = _MAY_READ_FILE | _MAY_READ_FOLDER if path.is_dir() else _MAY_READ_FILE
    _libc.syscall(_LANDLOCK_ADD, rules, _LANDLOCK_PATH_BENEATH, struct.pack("=Qi", may, place), 0)
    os.close(place)
