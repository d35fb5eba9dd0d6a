"""Files in a local folder.

root/ab/<id>               a whole file; `ab` are the last two digits of its id, which are random
root/.incoming/<id>.<try>  one that is still coming; removed when it is a day old and nobody writes it any more
"""

import contextlib
import fcntl
import io
import itertools
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import NotFound
from common.ids import is_id, new_id
from common.storage.blob_store import Blob
from common.storage.disk import force, force_all, medium, opened, start_writing, unavailable, write
from common.storage.intake import Intake

STALE_AFTER_S = 24 * 3600
PIECE_BYTES = 512 * 1024
WRITE_BACK_BYTES = 8 * 1024 * 1024
"""Measured: 1 GB is safe in two thirds of the time that hashing, writing and forcing it in turn takes."""
READ_BYTES = 128 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class FolderBlobStore:
    """A `BlobStore` in *root*, which is made if need be. Many processes may share the folder."""

    def __init__(self, root: Path, *, stale_after_s: float = STALE_AFTER_S) -> None:
        self._root = str(root)
        self._incoming = root / ".incoming"
        _make_folder(self._incoming)
        self._remove_stale(time.time() - stale_after_s)

    def save(self, chunks: Iterable[bytes], *, max_bytes: int, blob_id: str | None = None) -> Blob:
        """Store a stream and return what it was; see `BlobStore.save`.

        The bytes are forced to disk before the rename that shows them, and the rename before the return.
        """
        blob_id = new_id() if blob_id is None else blob_id
        target = self._path(blob_id)
        partial = self._partial(blob_id, secrets.token_hex(4))
        try:
            blob = _receive(partial, blob_id, chunks, max_bytes)
            self._show({partial: target})
        except BaseException:
            _remove([partial])
            raise
        return blob

    def save_many(self, contents: Mapping[str, bytes]) -> None:
        """Store many small files, each under its id; see `BlobStore.save_many`."""
        one_try = secrets.token_hex(4)
        partials = {self._partial(blob_id, one_try): self._path(blob_id) for blob_id in contents}
        try:
            with medium(), opened(self._root) as root:  # opened first: it reports what fails from here on
                for partial, content in zip(partials, contents.values(), strict=True):
                    _put(partial, content)
                force_all(root, list(partials))
            self._show(partials)
        except BaseException:
            _remove(partials)
            raise

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored file for reading and seeking; see `BlobStore.open`."""
        try:
            return io.BufferedReader(_File(self._path(blob_id)), READ_BYTES)
        except FileNotFoundError as error:
            raise NotFound("There is no such file.") from error
        except OSError as error:
            raise unavailable(error) from error

    def exists(self, blob_id: str) -> bool:
        """Tell whether a whole file is stored under *blob_id*."""
        with medium():
            return is_id(blob_id) and Path(self._path(blob_id)).is_file()

    def delete(self, blob_id: str) -> None:
        """Remove a stored file and what is still coming under its id; see `BlobStore.delete`.

        Not forced to disk: a power cut within seconds may bring the file back.
        """
        if not is_id(blob_id):
            return
        with medium():
            for partial in self._incoming.iterdir():
                if partial.name.startswith(blob_id):
                    partial.unlink(missing_ok=True)
            Path(self._path(blob_id)).unlink(missing_ok=True)

    def url(self, blob_id: str, *, filename: str, media_type: str, inline: bool, lasts_s: int) -> str | None:
        """Return None: a local file has no address but ours."""
        del blob_id, filename, media_type, inline, lasts_s
        return None

    def check(self) -> None:
        """Do nothing: the folder was made."""

    def _path(self, blob_id: str) -> str:
        """Return where *blob_id* lies. Only an id of ours becomes part of a path: none has a dot or a slash."""
        if not is_id(blob_id):
            raise NotFound("There is no such file.")
        return f"{self._root}/{blob_id[-2:]}/{blob_id}"

    def _partial(self, blob_id: str, one_try: str) -> str:
        """Return where *blob_id* lies while it comes; two tries for one id never write into the same file."""
        return f"{self._incoming}/{blob_id}.{one_try}"

    def _show(self, partials: Mapping[str, str]) -> None:
        """Rename what is safe to where it is seen, and force that; or show nothing that was not there before."""
        shown: list[str] = []
        folders: set[str] = set()
        try:
            with medium(), opened(self._root) as root:
                for partial, target in partials.items():
                    if not os.access(target, os.F_OK):
                        shown.append(target)
                    folders |= _move(partial, target)
                force_all(root, sorted(folders))
        except BaseException:
            _remove(shown)
            raise

    def _remove_stale(self, before: float) -> None:
        """Remove what an upload left that died with its process; one that still comes is young or locked."""
        for partial in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process removed or published it first
                if partial.stat().st_mtime < before and not _is_locked(partial):
                    partial.unlink()


class _File(io.FileIO):
    """A file whose reads fail as the store's, not as the disk's."""

    def readinto(self, buffer: Any, /) -> int | None:
        with medium():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with medium():
            return super().readall()


def _receive(partial: str, blob_id: str, chunks: Iterable[bytes], max_bytes: int) -> Blob:
    """Write the stream to *partial* and force it; what *chunks* raises is no failure of the disk."""
    with medium():
        descriptor = os.open(partial, _NEW, 0o600)
    try:
        with Intake(chunks, max_bytes=max_bytes, piece_bytes=itertools.repeat(PIECE_BYTES)) as intake:
            with medium():
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            _write_all(descriptor, intake)
            return intake.blob(blob_id)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    size_bytes = begun_bytes = 0
    for piece in pieces:
        with medium():
            write(descriptor, piece)
            size_bytes += len(piece)
            if size_bytes - begun_bytes >= WRITE_BACK_BYTES:
                start_writing(descriptor, begun_bytes, size_bytes - begun_bytes)
                begun_bytes = size_bytes
    with medium():
        os.fsync(descriptor)


def _put(partial: str, content: bytes) -> None:
    descriptor = os.open(partial, _NEW, 0o600)
    try:
        write(descriptor, content)
    finally:
        os.close(descriptor)


def _move(partial: str, target: str) -> set[str]:
    """Rename, making the target's folder if need be; return the folders whose entries changed."""
    folder = target.rpartition("/")[0]
    try:
        os.rename(partial, target)  # noqa: PTH104 (a Path for each of ten thousand is a tenth of the time)
    except FileNotFoundError:
        Path(folder).mkdir(mode=0o700, exist_ok=True)
        Path(partial).rename(target)
        return {folder, folder.rpartition("/")[0]}
    return {folder}


def _remove(paths: Iterable[str]) -> None:
    """Remove what there is of *paths*; what a broken disk refuses is left to `delete`."""
    for path in paths:
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)


def _is_locked(partial: Path) -> bool:
    """Tell whether a living process still writes it; a client may be so slow that it looks old."""
    with partial.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _make_folder(folder: Path) -> None:
    """Make *folder* so that it outlives a power cut: its entry in the parent is forced to disk as well."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        force(str(folder.parent))
