"""A kind that shares its queue, and so its slots, with ingestions."""

from common.jobs.kind import Job


class PassBy(Job, name="bench.pass_by", queue="ingestion", time_limit_s=60):
    """Say when it ran."""
