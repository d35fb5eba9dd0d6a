"""The parent's handler: each of its steps may be repeated, and makes its children once."""

from collections import Counter
from dataclasses import dataclass

from common.probe.have_children import HaveChildren
from common.probe.leave_marks import LeaveMarks
from workers.probe.leave_marks import mark, witness

from common.errors import WaitForChildren
from common.jobs.kind import Job
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Ended:
    """How many children ended how."""

    succeeded: int
    failed: int
    cancelled: int


@handles(HaveChildren)
def have_children(ctx: Context, job: HaveChildren) -> Ended:
    state = ctx.resume() or {"stage": "making"}
    if state["stage"] == "making":
        for batch in range(job.batches):
            ctx.spawn(f"batch-{batch}", [child(job, number) for number in range(job.count // job.batches)])
            witness(f"spawned {batch}", ctx)
        ctx.checkpoint({"stage": "waiting"})
        raise WaitForChildren
    ends = Counter(record.state for record in ctx.children())
    if state["stage"] == "waiting":
        ctx.write(lambda scope: mark(scope, ctx, 0), checkpoint={"stage": "closed"})
        witness("mark closing", ctx)
    return Ended(ends["succeeded"], ends["failed"], ends["cancelled"])


def child(job: HaveChildren, number: int) -> Job:
    if job.depth:
        return HaveChildren(count=job.count, steps=job.steps, depth=job.depth - 1, pause_s=job.pause_s)
    fails = job.failing > 0 and number % job.failing == 0
    return LeaveMarks(steps=job.steps, pause_s=job.pause_s, trouble="fail" if fails else "", times=99)
