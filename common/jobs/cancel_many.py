"""The job that cancels many: what is queued, waits or runs, by filter."""

from typing import Literal

from common.jobs.kind import Job


class CancelMany(Job, name="jobs.cancel_many", queue="organizations", time_limit_s=4 * 3600, priority=7):
    """Cancel each job that this filter finds and that was there when this was asked.

    *of_org* is for the platform's own: another organization's id, or nothing for all. Instants are RFC 3339.
    """

    kind: str | None = None
    state: Literal["queued", "waiting", "running"] | None = None
    since: str | None = None
    until: str | None = None
    of_org: str | None = None
