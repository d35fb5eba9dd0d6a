"""What is asked: import one file of tickets."""

from typing import Literal

from common.jobs.kind import Job


class ImportFile(Job, name="tickets.import_file", queue="tickets", time_limit_s=3600):
    """Import the tickets of one stored file.

    *mapping* is ticket field → column; fields left out are matched by name. *source* is whose external ids
    these are; rows of two sources never meet.
    """

    blob_id: str
    filename: str
    format: Literal["csv", "jsonl"]
    mapping: dict[str, str]
    source: str | None = None

    def blobs(self) -> tuple[str, ...]:
        """Name the file, which stays until it is imported."""
        return (self.blob_id,)
