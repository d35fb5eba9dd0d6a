"""What is asked: hold what is kept of an organization's counts against its tickets, and mend what differs."""

from common.jobs.kind import Job


class VerifyRollups(
    Job,
    name="analytics.verify_rollups",
    queue="analytics",
    time_limit_s=6 * 3600,
    max_attempts=20,
    max_losses=20,
    open_to=("admin",),
):
    """Count all tickets anew, eight days at a time, while others change them.

    With `repair` what differs is set right; a ticket of an earlier version is counted so for the first time.
    """

    repair: bool = True
