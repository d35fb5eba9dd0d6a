"""How a content comes to the child: as a descriptor that it can read and nobody can change.

A file of the local store goes as it is. Anything else is copied into memory, of a large one only the beginning.
"""

import fcntl
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from workers.files.examining.wire import Part

COPIED_MAX_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
# Else a child that was taken over by one content could change the ones after it.
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@dataclass(frozen=True)
class Parcel:
    """Contents to examine, all in one descriptor."""

    descriptor: int
    parts: tuple[Part, ...]


@contextmanager
def hand_file(file: BinaryIO, size_bytes: int) -> Iterator[Parcel]:
    """Hand *file* over; one that has no descriptor of its own is read from where it stands."""
    own = _own_descriptor(file)
    if own is not None:
        with _opened_again(own) as descriptor:
            held_bytes = min(size_bytes, os.fstat(descriptor).st_size)
            yield Parcel(descriptor, (Part(0, held_bytes, size_bytes),))
        return
    with _memory() as descriptor:
        held_bytes = _copy(file, descriptor)
        _seal(descriptor)
        yield Parcel(descriptor, (Part(0, held_bytes, max(size_bytes, held_bytes)),))


@contextmanager
def hand_contents(contents: Sequence[bytes]) -> Iterator[Parcel]:
    """Hand many contents over at once."""
    with _memory() as descriptor:
        parts = []
        offset = 0
        for content in contents:
            _write(descriptor, content)
            parts.append(Part(offset, len(content), len(content)))
            offset += len(content)
        _seal(descriptor)
        yield Parcel(descriptor, tuple(parts))


def _own_descriptor(file: BinaryIO) -> int | None:
    """Return the descriptor of a plain file; None if *file* is anything else.

    Other objects have descriptors too, but of a socket, or of bytes that are yet to be unpacked.
    """
    raw = file.raw if isinstance(file, io.BufferedReader) else file
    if not isinstance(raw, io.FileIO):
        return None
    descriptor = raw.fileno()
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


@contextmanager
def _opened_again(own: int) -> Iterator[int]:
    """Open the same file for reading, with a place in it of its own: the child could move a shared one."""
    descriptor = os.open(f"/proc/self/fd/{own}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _memory() -> Iterator[int]:
    descriptor = os.memfd_create("examined", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _seal(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)


def _copy(file: BinaryIO, descriptor: int) -> int:
    copied_bytes = 0
    while copied_bytes < COPIED_MAX_BYTES:
        chunk = file.read(min(_CHUNK_BYTES, COPIED_MAX_BYTES - copied_bytes))
        if not chunk:
            break
        _write(descriptor, chunk)
        copied_bytes += len(chunk)
    return copied_bytes


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
