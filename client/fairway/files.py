"""Files: shared in rooms, listed, downloaded and taken out, and what is stored of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fairway.bodies import FileBody, Seen, name_of, named, opened
from fairway.calls import Calls
from fairway.downloads import Content, download
from fairway.file_models import Entry, File, Outcome, SharedFile, Storage
from fairway.models import Job

BYTES = "application/octet-stream"


class Files(Calls):
    """The operations on files."""

    def share(
        self,
        room_id: str,
        path_or_file: Path | BinaryIO,
        *,
        name: str | None = None,
        unpack: bool = True,
        key: str | None = None,
        seen: Seen | None = None,
    ) -> Job:
        """Share a file in a room, sent as it is read; the job imports it, and the entries of a zip with *unpack*.

        *name* may be a relative path, as `reports/may.csv`. An open file has to be one that can be read again.
        Raises `NotSent` if the file can't be sent as it is, `OSError` if it can't be read.
        """
        disposition = named(name if name is not None else name_of(path_or_file))
        with opened(path_or_file) as content:
            body = FileBody(content, seen)
            headers = {**body.headers(BYTES), **disposition}
            path, query = f"/v1/rooms/{room_id}/files", {"unpack": None if unpack else "false"}
            return Job.read(self._start(path, key, headers=headers, query=query, content=body, within_s=None))

    def files(self, room_id: str) -> Iterator[File]:
        """Go through the files of a room, those first that were added last."""
        return self._pages(f"/v1/rooms/{room_id}/files", File.read)

    def file(self, file_id: str) -> SharedFile:
        """Return a file, with the rooms that have it."""
        return SharedFile.read(self._transport.ask("GET", f"/v1/files/{file_id}").json())

    def download(self, file_id: str, path: Path, *, seen: Seen | None = None) -> None:
        """Write a file to *path*, which is there only once all of it has come and is what was stored.

        Cut off, it goes on where it was: at once, and also in a later call. Raises `NotWhole` if other bytes came.
        """
        found = self.file(file_id)
        content = Content(f"/v1/files/{file_id}/content", found.size_bytes, found.sha256)
        download(self._transport, content, path, seen)

    def remove_file(self, room_id: str, file_id: str) -> None:
        """Take a file out of a room; its bytes go with the last room that has it."""
        self._transport.ask("DELETE", f"/v1/rooms/{room_id}/files/{file_id}")

    def entries(self, job_id: str, *, outcome: Outcome | None = None) -> Iterator[Entry]:
        """Go through the entries of an archive that was sent, in its order, with what became of each."""
        return self._pages(f"/v1/files/imports/{job_id}/entries", Entry.read, outcome=outcome)

    def storage(self) -> Storage:
        """Return how much the organization stores, of how much."""
        return Storage.read(self._transport.ask("GET", "/v1/storage").json())
