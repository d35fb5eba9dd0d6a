"""What is asked: empty a room that was deleted."""

from common.jobs.kind import Job


class DeleteRoom(Job, name="files.delete_room", queue="files", can_be_cancelled=False):
    """Take the files and the people out of a room that was deleted; one that is still there is deleted first."""

    room_id: str

    def room(self) -> str:
        """Name the room."""
        return self.room_id
