"""Does nothing with a text."""

from common.probe.take_text import TakeText

from workers.context import Context
from workers.runner import handles


@handles(TakeText)
def take_text(ctx: Context, job: TakeText) -> int:
    """Say how long it is."""
    del ctx
    return len(job.text)
