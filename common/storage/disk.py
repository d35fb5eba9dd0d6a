"""What a disk does with what was written: when it starts, when it is safe, and how it fails."""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from common.errors import StorageUnavailable

_WRITE = 2  # SYNC_FILE_RANGE_WRITE
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def medium() -> Iterator[None]:
    """Turn the failures of the disk that the block uses into `StorageUnavailable`."""
    try:
        yield
    except OSError as error:
        raise unavailable(error) from error


def unavailable(error: OSError) -> StorageUnavailable:
    """Return what the caller is told of a disk's failure; nothing of ours is in the sentence."""
    if error.errno in _FULL:
        return StorageUnavailable("The store of files is full. Nothing was kept.", retry_after_s=60)
    return StorageUnavailable("The store of files does not work. Nothing was kept.", retry_after_s=10)


def write(descriptor: int, data: bytes) -> None:
    """Write all of *data*."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def start_writing(descriptor: int, offset_bytes: int, size_bytes: int) -> None:
    """Have the disk begin with these bytes, so that little is left when they must be safe; promises nothing."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, offset_bytes, size_bytes, _WRITE)


def force_all(folder: int, paths: Sequence[str]) -> None:
    """Wait until all *paths*, files or folders, are safe on the disk that the descriptor *folder* is open on.

    One order to the whole file system where the kernel has it (Linux; it reports failed writes since *folder*
    was opened): a hundred small files cost as much as two. Elsewhere each is forced by itself.
    """
    if _SYNCFS is None or len(paths) == 1:
        for path in paths:
            force(path)
    elif _SYNCFS(folder):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def force(path: str) -> None:
    """Wait until what was written to the file or folder at *path* is safe on disk."""
    with opened(path) as descriptor:
        os.fsync(descriptor)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Hold a descriptor of the file or folder at *path*."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _of_the_kernel(name: str, *arguments: Any) -> Any:
    """Return a function of the C library that Python does not offer, or None where there is none."""
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is not None:
        function.argtypes = arguments
    return function


_SYNCFS = _of_the_kernel("syncfs", ctypes.c_int)
_SYNC_FILE_RANGE = _of_the_kernel("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
