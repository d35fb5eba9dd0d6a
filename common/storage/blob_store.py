"""What every store of files promises, whatever it stands on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class Blob:
    """A stored file: its random id, and what the bytes were as they came in."""

    id: str
    size_bytes: int
    sha256: str


class BlobStore(Protocol):
    """Keep files by random id. Nothing is visible, under any id, before all of it is safe in the store.

    Whatever the medium does (full, broken, away, too slow) is `StorageUnavailable`; trying again may help.
    """

    def save(self, chunks: Iterable[bytes], *, max_bytes: int, blob_id: str | None = None) -> Blob:
        """Store a stream and return what it was; holds a few MiB in memory, whatever its size.

        Under *blob_id*, which the caller has written down first, so that what a crash leaves is found; saving
        under it again replaces whole by whole. Without one an id is made.

        Raises `TooLarge` as soon as the stream is over *max_bytes*, `StorageUnavailable`, and whatever *chunks*
        raises; nothing stays behind then.
        """
        ...

    def save_many(self, contents: Mapping[str, bytes]) -> None:
        """Store many small files at once, each under its id; all are safe when this returns.

        Much cheaper than one by one, because they are made safe together. Raises `StorageUnavailable`, and shows
        none then that was not there before; a process that is killed may leave some, to be deleted by id.
        """
        ...

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored file for reading and seeking.

        Raises `NotFound` if there is none of that id; `StorageUnavailable` here or at any read.
        """
        ...

    def exists(self, blob_id: str) -> bool:
        """Tell whether a whole file is stored under *blob_id*. Raises `StorageUnavailable`."""
        ...

    def delete(self, blob_id: str) -> None:
        """Remove a stored file, and what a killed `save` left under its id; absent is as good as removed.

        A `save` under this id that still runs fails then. Raises `StorageUnavailable`.
        """
        ...

    def url(self, blob_id: str, *, filename: str, media_type: str, inline: bool, lasts_s: int) -> str | None:
        """Return an address where a browser gets the file itself for *lasts_s* seconds, under *filename*.

        None where only this process can read it; whoever asks then streams it from `open`.
        """
        ...

    def check(self) -> None:
        """Refuse a place that can't hold files. Raises `Misconfigured`; one that is only away is let be."""
        ...
