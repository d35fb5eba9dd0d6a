"""Handlers that only take time."""

import time

from common.probe.be_quick import BeQuick, BeSlow

from common.errors import TimeLimitExceeded
from workers.context import Context
from workers.runner import handles


@handles(BeQuick)
def be_quick(ctx: Context, job: BeQuick) -> None:
    del ctx, job


@handles(BeSlow)
def be_slow(ctx: Context, job: BeSlow) -> None:
    ends_at = time.monotonic() + job.seconds
    while time.monotonic() < ends_at:
        try:
            time.sleep(0.05)
        except TimeLimitExceeded:
            if not job.deaf:
                raise
    del ctx
