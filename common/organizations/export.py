"""What is asked: write all that an organization has into one archive."""

from common.jobs.kind import Job


class ExportOrganization(
    Job, name="organizations.export", queue="organizations", time_limit_s=6 * 3600, max_running=4
):
    """Export the organization that asks: no field names another."""
