"""What is asked: import a group of an archive's entries into a room."""

from common.jobs.kind import Job


class ImportEntries(Job, name="files.import_entries", queue="files", time_limit_s=1800):
    """Import the entries of group *group* of the archive that the job *import_id* unpacks."""

    room_id: str
    import_id: str
    blob_id: str
    group: int

    def room(self) -> str:
        """Name the room."""
        return self.room_id
