"""A disk that can be filled: a small file system in memory, mounted for one test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_PIECE_BYTES = 4096


class Disk:
    """A file system of its own in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("ab", buffering=0) as file:
            for piece_bytes in (1024 * 1024, _PIECE_BYTES, 1):
                with suppress(OSError):
                    while file.write(b"x" * piece_bytes):
                        pass

    def relieve(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path, size_mib: int) -> Iterator[Disk]:
    """Mount a disk of *size_mib* MiB at *folder*; skip the test where this user may not mount anything.

    A disk can be filled without harm only if it is a small one of its own.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("only root may mount the small disk that is filled here; the machine's limit")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
