"""Files in a local folder.

root/ab/<id>          a whole file; `ab` are the last two digits of its id, which are random
root/.incoming/<id>   one that is still coming; removed when it is a day old
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from common.errors import NotFound, TooLarge, Unavailable
from common.ids import is_id, new_id
from common.storage.blob_store import Blob

STALE_AFTER_S = 24 * 3600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderBlobStore:
    """A `BlobStore` in *root*, which is made if need be. Many processes may share the folder."""

    def __init__(self, root: Path, *, stale_after_s: float = STALE_AFTER_S) -> None:
        self._root = root
        self._incoming = root / ".incoming"
        _make_folder(self._incoming)
        self._remove_stale(time.time() - stale_after_s)

    def save(self, chunks: Iterable[bytes], *, max_bytes: int) -> Blob:
        """Store a stream and return what it was; see `BlobStore.save`.

        The bytes are forced to disk before the rename that shows them, and the rename before the return.
        """
        blob_id = new_id()
        partial = self._incoming / blob_id
        try:
            blob = _write(partial, blob_id, chunks, max_bytes)
            self._publish(partial, blob_id)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise Unavailable("The store of files is full. Nothing was kept.", retry_after_s=60) from error
            raise
        return blob

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored file for reading. Raises `NotFound` if there is none of that id."""
        try:
            return self._path(blob_id).open("rb")
        except FileNotFoundError as error:
            raise NotFound("There is no such file.") from error

    def exists(self, blob_id: str) -> bool:
        """Tell whether a whole file is stored under *blob_id*."""
        return is_id(blob_id) and self._path(blob_id).is_file()

    def delete(self, blob_id: str) -> None:
        """Remove a stored file; one that is not there is as good as removed."""
        if is_id(blob_id):
            self._path(blob_id).unlink(missing_ok=True)

    def _path(self, blob_id: str) -> Path:
        """Return where *blob_id* lies. Only an id of ours becomes part of a path: none has a dot or a slash."""
        if not is_id(blob_id):
            raise NotFound("There is no such file.")
        return self._root / blob_id[-2:] / blob_id

    def _publish(self, partial: Path, blob_id: str) -> None:
        path = self._path(blob_id)
        _make_folder(path.parent)
        partial.rename(path)
        _sync_folder(path.parent)

    def _remove_stale(self, before: float) -> None:
        """Remove what an upload left that died with its process; a living one writes and so stays young."""
        for partial in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process removed or published it first
                if partial.stat().st_mtime < before:
                    partial.unlink()


def _write(partial: Path, blob_id: str, chunks: Iterable[bytes], max_bytes: int) -> Blob:
    digest = hashlib.sha256()
    size_bytes = 0
    with partial.open("xb") as file:
        for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise TooLarge(f"The file is over {max_bytes} bytes.", extra={"limit_bytes": max_bytes})
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return Blob(id=blob_id, size_bytes=size_bytes, sha256=digest.hexdigest())


def _make_folder(folder: Path) -> None:
    """Make *folder* so that it outlives a power cut: its entry in the parent is forced to disk as well."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
