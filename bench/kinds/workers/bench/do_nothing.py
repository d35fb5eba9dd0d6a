"""Handlers that do nothing but leave marks."""

import time

import marks
from common.bench.do_nothing import DoNothing, Stamp, TakeTime

from workers.context import Context
from workers.runner import handles


@handles(DoNothing)
def do_nothing(ctx: Context, job: DoNothing) -> None:
    """Leave a mark now and then."""
    del ctx
    marks.every_50th(job.number)


@handles(TakeTime)
def take_time(ctx: Context, job: TakeTime) -> None:
    """Sleep, and leave marks."""
    del ctx
    marks.began(job.mark)
    time.sleep(job.ms / 1000)
    marks.every_50th(job.number)


@handles(Stamp)
def stamp(ctx: Context, job: Stamp) -> None:
    """Leave a mark."""
    del ctx, job
    marks.stamp()
