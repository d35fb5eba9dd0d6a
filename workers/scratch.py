"""A worker's temporary files: one folder for each, and what killed ones left is removed by those that start later.

Celery's pool keeps its shared memory in temporary files, which a process that is killed can't remove.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

_PREFIX = "fairway-worker-"
_ITS_OWN = "pymp-"


def use_own() -> Path:
    """Make this process, and what it forks, write temporary files into a folder of its own; return it.

    Call it before the first temporary file is made.
    """
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        if not _is_alive(left.name.removeprefix(_PREFIX)):
            shutil.rmtree(left, ignore_errors=True)  # another that starts now may be faster
    own = place / f"{_PREFIX}{os.getpid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    tempfile.tempdir = str(own)
    return own


def leave(own: Path) -> None:
    """Remove the folder of this process, but for what multiprocessing removes last, and would miss."""
    for part in own.iterdir():
        if part.is_dir() and not part.name.startswith(_ITS_OWN):
            shutil.rmtree(part, ignore_errors=True)
        elif not part.is_dir():
            part.unlink(missing_ok=True)
    with suppress(OSError):  # not empty: whoever starts next removes it
        own.rmdir()


def _is_alive(pid: str) -> bool:
    return pid.isdigit() and psutil.pid_exists(int(pid))
