"""Bytes that a job stores before anything has them: in the ledger first, under one id for all its runs."""

from common.files import ledger
from common.files.ledger import LEASE, Loose
from common.ids import new_id
from workers.context import Context


def noted(ctx: Context) -> str:
    """Return the id for the job's bytes, which stands in the ledger before they are there."""
    scope = ctx.services.scope(ctx.org_id)
    for one in ledger.of_job(scope, ctx.job_id):
        return one.blob_id
    loose = Loose(new_id(), "writing", ctx.job_id, 0, ctx.services.clock.now() + LEASE)
    ledger.note(scope, loose, 0)
    return loose.blob_id
