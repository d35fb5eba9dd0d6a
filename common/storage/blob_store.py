"""What every store of files promises, whatever it stands on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class Blob:
    """A stored file: its random id, and what the bytes were as they came in."""

    id: str
    size_bytes: int
    sha256: str


class BlobStore(Protocol):
    """Keep files by random id. Nothing is visible, under any id, before all of it is safe on disk."""

    def save(self, chunks: Iterable[bytes], *, max_bytes: int) -> Blob:
        """Store a stream and return what it was; holds one chunk at a time in memory.

        Raises `TooLarge` as soon as the stream is over *max_bytes*, and whatever *chunks* raises;
        nothing stays behind then.
        """
        ...

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored file for reading. Raises `NotFound` if there is none of that id."""
        ...

    def exists(self, blob_id: str) -> bool:
        """Tell whether a whole file is stored under *blob_id*."""
        ...

    def delete(self, blob_id: str) -> None:
        """Remove a stored file; one that is not there is as good as removed."""
        ...
