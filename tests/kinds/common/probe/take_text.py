"""A kind that callers may submit, with a text that may be more than a job can carry."""

from typing import Annotated

from annotated_types import MaxLen

from common.jobs.kind import Job


class TakeText(Job, name="probe.take_text", queue="tickets", time_limit_s=5, open_to=("admin",)):
    """Take a *text* and do nothing with it."""

    text: Annotated[str, MaxLen(200_000)]
