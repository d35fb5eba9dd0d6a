"""The outside probe's handler: each call is a line of the witness, each of its marks is written under the lock."""

import os
import time
from contextlib import nullcontext

from common.probe.call_outside import CallOutside
from workers.probe.leave_marks import mark, witness

from common.coordination.rate_limiter import SlidingWindow
from workers.context import Context
from workers.runner import handles


@handles(CallOutside)
def call_outside(ctx: Context, job: CallOutside) -> int:
    state = ctx.resume() or {"next": 0}
    outside = ctx.outside(job.host, job.credential, [SlidingWindow(job.permits, job.per_s)])
    with ctx.lock(job.lock, job.ttl_s) if job.lock else nullcontext() as lease:
        for call in range(state["next"], job.calls):
            with outside.call():
                witness(f"call {job.host} {os.getpid()}", ctx)
                if job.answer == "ill":
                    raise ConnectionError("the host is ill")
                if job.answer == "429" and ctx.claim == 1:
                    raise outside.told_to_wait(job.per_s)
            time.sleep(job.pause_s)
            ctx.write(
                lambda scope, call=call: mark(scope, ctx, call),
                under=lease,
                checkpoint={"next": call + 1},
                done=call + 1,
                total=job.calls,
            )
    return job.calls
