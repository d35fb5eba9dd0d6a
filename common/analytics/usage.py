"""What an organization used in a range of time and has now, against what its tier gives."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from common.analytics.nearness import Near, warned
from common.clock import Clock, rfc3339
from common.errors import Fault, Invalid, Unavailable
from common.files.storage import Standing
from common.ids import OrgId
from common.jobs.kind import queues
from common.jobs.lanes import Lanes
from common.metering import kept
from common.metering.figures import DAY, FIGURES, HOUR, Figure, day_of
from common.metering.kept import KEPT_DAYS, Sums
from common.metrics import SWALLOWED
from common.tenancy.control import ControlPlane
from common.tenancy.tiers import Allowance

_US = 1_000_000


class Usage:
    """The usage of all organizations, each asked for with its organization."""

    def __init__(
        self,
        control: ControlPlane,
        lanes: Lanes,
        clock: Clock,
        *,
        allowance_of: Callable[[OrgId], Allowance],
        storage_of: Callable[[OrgId], Standing],
    ) -> None:
        self._control = control
        self._lanes = lanes
        self._clock = clock
        self._allowance_of = allowance_of
        self._storage_of = storage_of

    def of(self, org_id: OrgId, start: datetime | None = None, end: datetime | None = None) -> dict[str, Any]:
        """Return what the organization used from *start* to *end*, and has now, in the shape that the API shows.

        The range grows to whole hours of UTC; left out, it is this month up to now. Sums are what is kept: what
        was counted up to `counted_to`. Raises `Invalid` for a range that can't be.
        """
        now = self._clock.now()
        start, end = _range(start, end, now)
        days = kept.days_of(self._control, org_id, start, end)
        total = _total(one.sums for one in days)
        this_hour = kept.hour(self._control, [org_id], now).get(org_id, {}).get("requests", 0)
        allowance, storage = self._allowance_of(org_id), self._storage_of(org_id)
        waiting, running = self._jobs_now(org_id)
        near = [
            Near("requests_an_hour", this_hour, allowance.requests_an_hour),
            Near("jobs_waiting", waiting or 0, allowance.waiting),
            Near("storage_bytes", storage.use.used_bytes, storage.limit_bytes),
        ]
        return {
            "range": {"from": rfc3339(start), "to": rfc3339(end)},
            "requests": {
                "total": total["requests"],
                "refused": total["refused"],
                "this_hour": this_hour,
                "minute_limit": allowance.requests_a_minute,
                "hour_limit": allowance.requests_an_hour,
            },
            "jobs": {
                "accepted": total["jobs"],
                "ended": total["ended"],
                "failed": total["failed"],
                "run_s": _seconds(total["run_us"]),
                "waiting": waiting,
                "waiting_limit": allowance.waiting,
                "running": running,
                "running_limit": allowance.running,
            },
            "storage": {"used_bytes": storage.use.used_bytes, "limit_bytes": storage.limit_bytes},
            "users": self._control.users.count_documents({"org_id": {"$eq": org_id}}),
            "rows_written": total["rows"],
            "days": _days(days, start, end),
            "warnings": [one.shown() for one in warned(near)],
            "counted_to": _shown(kept.moved_at(self._control)),
            "as_of": rfc3339(now),
        }

    def _jobs_now(self, org_id: OrgId) -> tuple[int | None, int | None]:
        """Count the jobs that wait and run; the lanes' Redis may be away, and then nobody knows."""
        try:
            return self._lanes.waiting(org_id, queues())
        except Unavailable:
            SWALLOWED.labels("usage.lanes").inc()
            return None, None


def _range(start: datetime | None, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Return the whole hours that are asked for. Raises `Invalid`."""
    end = now if end is None else end
    if start is None:
        start = day_of(end - timedelta(milliseconds=1)).replace(day=1)
    if end <= start:
        raise _refused("must be later than from")
    if end - start > KEPT_DAYS * DAY:
        raise _refused(f"may be at most {KEPT_DAYS} days after from, for which usage is kept; ask for parts")
    return _hour(start), _hour(end + HOUR - timedelta(microseconds=1))


def _refused(why: str) -> Invalid:
    return Invalid("There is no usage of this range; see errors.", [Fault(why, "to", "parameter")])


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _total(sums: Iterable[Sums]) -> dict[Figure, int]:
    total: dict[Figure, int] = dict.fromkeys(FIGURES, 0)
    for one in sums:
        for figure, amount in one.items():
            total[figure] += amount
    return total


def _days(found: Iterable[kept.Day], start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return every day of the range, also those without any use."""
    known, shown, day = {one.day: one.sums for one in found}, [], day_of(start)
    while day < end:
        shown.append({"date": f"{day:%Y-%m-%d}", **figures(known.get(day, {}))})
        day += DAY
    return shown


def figures(sums: Sums) -> Mapping[str, Any]:
    """Return sums as the API shows them by day or by tenant."""
    return {
        "requests": sums.get("requests", 0),
        "refused": sums.get("refused", 0),
        "jobs": sums.get("jobs", 0),
        "failed": sums.get("failed", 0),
        "run_s": _seconds(sums.get("run_us", 0)),
        "rows": sums.get("rows", 0),
    }


def _seconds(microseconds: int) -> float:
    return round(microseconds / _US, 3)


def _shown(instant: datetime | None) -> str | None:
    return rfc3339(instant) if instant is not None else None
