"""Cancels many jobs, one by one, by the same code as a single one."""

from common.jobs.cancel_many import CancelMany
from workers.context import Context
from workers.jobs.each import Changed, change_each
from workers.runner import handles


@handles(CancelMany)
def cancel_many(ctx: Context, job: CancelMany) -> Changed:
    """Cancel each, or ask it to stop."""
    return change_each(ctx, job, ctx.services.submitter.cancel)
