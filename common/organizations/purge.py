"""What is asked: remove an organization for good that was deleted long enough ago."""

from common.jobs.kind import Job


class PurgeOrganization(
    Job, name="organizations.purge", queue="organizations", time_limit_s=3_600, max_attempts=50, max_losses=20
):
    """Remove all that *of_org* has, if *deletion_id* is still its deletion."""

    of_org: str
    deletion_id: str
