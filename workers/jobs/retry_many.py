"""Retries many jobs, one by one, by the same code as a single one."""

from common.jobs.retry_many import RetryMany
from workers.context import Context
from workers.jobs.each import Changed, change_each
from workers.runner import handles


@handles(RetryMany)
def retry_many(ctx: Context, job: RetryMany) -> Changed:
    """Start a fresh run of each."""
    return change_each(ctx, job, ctx.services.submitter.retry)
