"""Retrying and cancelling many jobs: which ones are meant, the same for the count and for the job that does it."""

from datetime import UTC, datetime
from typing import Any

from common.ids import PLATFORM, OrgId
from common.jobs.cancel_many import CancelMany
from common.jobs.retry_many import RetryMany
from common.jobs.selection import Selection
from common.jobs.store import JobStore

Many = RetryMany | CancelMany
COUNT_MOST = 100_000
"""How many are counted; beyond it is only said that there are more."""
STATES_OF = {RetryMany: ("failed", "cancelled"), CancelMany: ("queued", "waiting", "running")}


def selection_of(asked: Many, org_id: OrgId, *, asked_at: datetime) -> Selection:
    """Return the jobs that *asked* means when *org_id* asks for it at that time.

    What has ended since then is left out: so a job that failed once more is not retried twice.
    """
    return Selection(
        org_id=_whose(asked, org_id),
        kind=asked.kind,
        states=(asked.state,) if asked.state else STATES_OF[type(asked)],
        made_after=_instant(asked.since),
        made_before=_instant(asked.until),
        ended_by=asked_at if isinstance(asked, RetryMany) else None,
    )


def count(jobs: JobStore, asked: Many, org_id: OrgId, *, asked_at: datetime) -> dict[str, Any]:
    """Count the jobs that *asked* would change. Raises `Unavailable` if that takes too long."""
    found = jobs.count(selection_of(asked, org_id, asked_at=asked_at), COUNT_MOST + 1)
    return {"count": min(found, COUNT_MOST), "more": found > COUNT_MOST}


def _whose(asked: Many, org_id: OrgId) -> OrgId | None:
    if org_id != PLATFORM:
        return org_id  # whatever *of_org* says: nobody reaches another's jobs
    return OrgId(asked.of_org) if asked.of_org else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
