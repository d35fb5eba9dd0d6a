"""The files in which the processes of one machine share their metrics, with their room taken from the start.

The client maps a file that is longer than what is stored of it: on a full disk the first touch of a new page ends
the process with SIGBUS. So the room of a file is taken when it is made; where there is none, the process counts in
memory, for itself alone, and goes on.
"""

import os
import sys
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

ROOM_BYTES = 512 * 1024


class RoomyDict(MmapedDict):  # type: ignore[misc] # typed in parts only
    """The client's map of one file, at least `ROOM_BYTES` long and wholly stored."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 (the client's own)
        super().__init__(filename if read_mode else _with_room(filename), read_mode)


def use() -> None:
    """Make the client use such files; call it before the first metric is made."""
    values.MmapedDict = RoomyDict


def _with_room(filename: str) -> str:
    """Return *filename* with its room taken, or that of a file in memory if the disk is full."""
    if sys.platform != "linux":
        return filename
    try:
        with Path(filename).open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
    except OSError:
        memory = os.memfd_create("metrics")  # kept open as long as the process lives
        os.truncate(memory, ROOM_BYTES)
        return f"/proc/self/fd/{memory}"
    return filename
