"""What is asked: restore an archive into an organization that has no data yet."""

from common.jobs.kind import Job


class ImportArchive(
    Job, name="organizations.import_archive", queue="organizations", time_limit_s=6 * 3600, max_running=4
):
    """Restore the stored archive into the organization that asks."""

    blob_id: str

    def blobs(self) -> tuple[str, ...]:
        """Name the archive, which stays until it is restored."""
        return (self.blob_id,)
