"""Bytes that a run of a job stores before anything has them: in the ledger first, under an id of that run's own.

A worker that was frozen may go on writing when another run is over: under the same id it would put other bytes
there than those whose hash is kept.
"""

from common.files import ledger
from common.files.ledger import LEASE, Loose
from common.ids import new_id
from workers.context import Context


def noted(ctx: Context) -> str:
    """Return a new id for the run's bytes, which stands in the ledger before they are there."""
    loose = Loose(new_id(), "writing", ctx.job_id, 0, ctx.services.clock.now() + LEASE)
    ledger.note(ctx.services.scope(ctx.org_id), loose, 0)
    return loose.blob_id
