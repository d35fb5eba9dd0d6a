"""Going through many jobs, newest first, so that a death anywhere goes on where it was."""

from collections.abc import Callable
from dataclasses import dataclass

from common.errors import Conflict, Forbidden, NotFound
from common.files.job_rights import demand_to_change
from common.files.members import member_id
from common.ids import PLATFORM, OrgId
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
    is_admin = _is_admin(ctx)
    while page := ctx.services.jobs.select(selection, before=before, limit=PAGE):
        for record in page:
            changed += _change(ctx, change, record, is_admin=is_admin)
        found, before = found + len(page), page[-1].id
        now = {"before": before, "found": found, "changed": changed}
        ctx.checkpoint(now, done=found, total=max(total, found))
    return Changed(found, changed)


def _change(ctx: Context, change: Callable[[OrgId, str], JobRecord], record: JobRecord, *, is_admin: bool) -> bool:
    """Change one; what has moved on, or is of a room that who asked has no part in, is passed over."""
    try:
        if not is_admin:
            by = ctx.claimed.submitted_by
            demand_to_change(ctx.scope, record.kind, record.payload, by, is_admin=False)
        change(record.org_id, record.id)
    except (Conflict, NotFound, Forbidden):
        return False
    return True


def _is_admin(ctx: Context) -> bool:
    """Tell whether who asked may tend every job: an admin of the organization, an admin's key, or the platform."""
    if ctx.org_id == PLATFORM:
        return True
    who = member_id(ctx.claimed.submitted_by)
    for look in (ctx.services.people.get, ctx.services.api_keys.get):
        try:
            return look(ctx.org_id, who).role == "admin"
        except NotFound:
            continue
    return False
