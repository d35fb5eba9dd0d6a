"""Goes through the steps of a rehearsal, each behind a checkpoint."""

from dataclasses import dataclass

from common.errors import Defer
from common.jobs.rehearse import Rehearse
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Rehearsed:
    """How many steps were gone through."""

    steps: int


@handles(Rehearse)
def rehearse(ctx: Context, job: Rehearse) -> Rehearsed:
    """Go on from the last step."""
    state = ctx.resume() or {"step": 0}
    for step in range(state["step"] + 1, job.steps + 1):
        ctx.checkpoint({"step": step}, done=step, total=job.steps, stage="rehearsing")
        if job.pause_s and step < job.steps:
            raise Defer(job.pause_s, "rehearsed_pause")
    return Rehearsed(steps=job.steps)
