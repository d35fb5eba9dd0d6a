"""What is asked: add up what all organizations have, need and suffer from."""

from common.jobs.kind import Job


class TotalPlatform(
    Job,
    name="analytics.total_platform",
    queue="analytics",
    time_limit_s=6 * 3600,
    max_attempts=20,
    max_losses=20,
    max_running=1,
):
    """Go through all databases and placements, batch by batch, and keep what comes of it beside earlier totals."""
