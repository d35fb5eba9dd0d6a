"""A kind that does nothing, and one with a short limit of time."""

from common.jobs.kind import Job


class BeQuick(Job, name="probe.be_quick", queue="tickets", time_limit_s=5):
    """Do nothing."""


class BeSlow(Job, name="probe.be_slow", queue="tickets", time_limit_s=3, soft_time_limit_s=1.0, max_attempts=1):
    """Run for *seconds*; *deaf* ignores the soft limit."""

    seconds: float
    deaf: bool = False
