"""What is asked: hold the jobs of an organization that was deleted."""

from common.jobs.kind import Job


class DeleteOrganization(Job, name="organizations.delete", queue="organizations", time_limit_s=600):
    """Hold the jobs of *of_org*, and ask those that run to stop; ends when none runs."""

    of_org: str
