"""What is asked: let the jobs of an organization go on that was restored."""

from common.jobs.kind import Job


class RestoreOrganization(Job, name="organizations.restore", queue="organizations", time_limit_s=600):
    """Release the jobs of *of_org* that are held."""

    of_org: str
