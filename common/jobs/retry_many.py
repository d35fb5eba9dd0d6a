"""The job that retries many: what failed or was cancelled, by filter."""

from typing import Literal

from common.jobs.kind import Job


class RetryMany(Job, name="jobs.retry_many", queue="organizations", time_limit_s=4 * 3600, priority=7):
    """Start a fresh run of each job that this filter finds and that had ended when this was asked.

    *of_org* is for the platform's own: another organization's id, or nothing for all. Instants are RFC 3339.
    """

    kind: str | None = None
    state: Literal["failed", "cancelled"] | None = None
    since: str | None = None
    until: str | None = None
    of_org: str | None = None
