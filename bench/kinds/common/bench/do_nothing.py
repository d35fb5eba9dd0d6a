"""Kinds that do nothing, so that only the platform is measured."""

from common.jobs.kind import Job


class DoNothing(Job, name="bench.do_nothing", queue="bench", time_limit_s=60):
    """Do nothing; every fiftieth *number* leaves a mark."""

    number: int
    note: str = ""


class TakeTime(Job, name="bench.take_time", queue="bench", time_limit_s=60):
    """Sleep for so many milliseconds; *mark* names the list that is told when it began, or none."""

    number: int
    ms: float
    mark: str = ""


class Stamp(Job, name="bench.stamp", queue="bench", time_limit_s=60):
    """Say when it ran."""
