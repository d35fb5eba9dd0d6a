"""Going through many jobs, newest first, so that a death anywhere goes on where it was."""

from collections.abc import Callable
from dataclasses import dataclass

from common.errors import Conflict, NotFound
from common.ids import OrgId
from common.jobs.many import COUNT_MOST, Many, selection_of
from common.jobs.record import JobRecord
from workers.context import Context

PAGE = 100


@dataclass(frozen=True)
class Changed:
    """How many jobs were found and how many of them were changed; the others had moved on by themselves."""

    found: int
    changed: int


def change_each(ctx: Context, asked: Many, change: Callable[[OrgId, str], JobRecord]) -> Changed:
    """Let *change* do each job that *asked* means; a second time does nothing, its state being another by then."""
    state = ctx.resume() or {"before": ctx.job_id, "found": 0, "changed": 0}
    selection = selection_of(asked, ctx.org_id, asked_at=ctx.asked_at)
    total = min(
        COUNT_MOST, state["found"] + ctx.services.jobs.count(selection, COUNT_MOST, before=state["before"])
    )
    found, changed, before = state["found"], state["changed"], state["before"]
    while page := ctx.services.jobs.select(selection, before=before, limit=PAGE):
        for record in page:
            changed += _change(change, record)
        found, before = found + len(page), page[-1].id
        now = {"before": before, "found": found, "changed": changed}
        ctx.checkpoint(now, done=found, total=max(total, found))
    return Changed(found, changed)


def _change(change: Callable[[OrgId, str], JobRecord], record: JobRecord) -> bool:
    try:
        change(record.org_id, record.id)
    except (Conflict, NotFound):
        return False
    return True
