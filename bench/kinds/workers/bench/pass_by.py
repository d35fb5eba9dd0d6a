"""The handler of what shares its slots with ingestions."""

import marks
from common.bench.pass_by import PassBy

from workers.context import Context
from workers.runner import handles


@handles(PassBy)
def pass_by(ctx: Context, job: PassBy) -> None:
    """Leave a mark."""
    del ctx, job
    marks.stamp()
