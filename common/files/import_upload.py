"""What is asked: import one uploaded file into a room, or the files of an archive."""

from common.jobs.kind import Job


class ImportUpload(Job, name="files.import", queue="files", time_limit_s=3600):
    """Import what was uploaded as *filename*: verify it, examine it, and link it into a room.

    A zip is unpacked if *unpack* says so: its entries are imported by children of this job.
    """

    room_id: str
    blob_id: str
    filename: str
    size_bytes: int
    sha256: str
    unpack: bool = True

    def room(self) -> str:
        """Name the room."""
        return self.room_id

    def blobs(self) -> tuple[str, ...]:
        """Name the file, which stays until it is imported."""
        return (self.blob_id,)
