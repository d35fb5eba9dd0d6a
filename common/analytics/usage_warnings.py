"""Telling organizations that they have nearly used up what their tier gives: once, until there is more again.

Their storage tells of itself when it changes (`common/files/storage.py`); here it is requests and waiting jobs.
"""

from collections.abc import Callable, Collection, Sequence

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from common import events
from common.analytics.nearness import Near
from common.clock import Clock
from common.ids import PLATFORM, OrgId
from common.jobs.kind import queues
from common.jobs.lanes import Lanes
from common.metering import kept
from common.metering.kept import Sums
from common.tenancy.control import ControlPlane
from common.tenancy.tiers import Allowance

ASKED_MOST = 200
"""Of how many organizations at once Redis is asked how many jobs wait: those that had most accepted this hour."""
_ACTOR = "platform"


class UsageWarnings:
    """Looks at organizations whose usage was just moved."""

    def __init__(
        self, control: ControlPlane, lanes: Lanes, clock: Clock, *, allowance_of: Callable[[OrgId], Allowance]
    ) -> None:
        self._control = control
        self._lanes = lanes
        self._clock = clock
        self._allowance_of = allowance_of

    def look(self, org_ids: Collection[OrgId]) -> int:
        """Tell those of *org_ids* that have to know; return how many events that made.

        Raises `Unavailable` without Redis, and `PyMongoError`; what was not told is told the next time.
        """
        known = kept.hour(self._control, [one for one in org_ids if one != PLATFORM], self._clock.now())
        near = [self._requests(org_id, sums) for org_id, sums in known.items()]
        near += [self._waiting(org_id) for org_id in {*_with_most_jobs(known), *self._warned_of_waiting()}]
        self._forget([_id(org_id, one) for org_id, one in near if not one.warns])
        return sum(self._tell(org_id, one) for org_id, one in near if one.warns)

    def _requests(self, org_id: OrgId, sums: Sums) -> tuple[OrgId, Near]:
        return org_id, Near(
            "requests_an_hour", sums.get("requests", 0), self._allowance_of(org_id).requests_an_hour
        )

    def _waiting(self, org_id: OrgId) -> tuple[OrgId, Near]:
        waiting, _ = self._lanes.waiting(org_id, queues())
        return org_id, Near("jobs_waiting", waiting, self._allowance_of(org_id).waiting)

    def _warned_of_waiting(self) -> list[OrgId]:
        """Return who was warned of jobs that wait: they may have fewer by now, and accept none."""
        found = self._control.usage_warnings.find({"figure": "jobs_waiting"}, {"org_id": 1}).limit(ASKED_MOST)
        return [one["org_id"] for one in found]

    def _forget(self, ids: Sequence[str]) -> None:
        if ids:
            self._control.usage_warnings.delete_many({"_id": {"$in": ids}})

    def _tell(self, org_id: OrgId, near: Near) -> bool:
        """Make an event of it in the transaction that notes it; `False` if that was done before."""
        noted = {"_id": _id(org_id, near), "org_id": org_id, "figure": near.figure, "at": self._clock.now()}

        def work(session: ClientSession) -> None:
            self._control.usage_warnings.insert_one(noted, session=session)
            data = {"figure": near.figure, "used": near.used, "limit": near.limit}
            events.append(self._control, session, self._clock, org_id, "UsageWarning", actor=_ACTOR, data=data)

        if self._control.usage_warnings.find_one({"_id": noted["_id"]}, {"_id": 1}) is not None:
            return False
        try:
            self._control.transaction(work)
        except DuplicateKeyError:
            return False
        return True


def _with_most_jobs(known: dict[OrgId, Sums]) -> list[OrgId]:
    with_jobs = [org_id for org_id, sums in known.items() if sums.get("jobs")]
    return sorted(with_jobs, key=lambda org_id: -known[org_id]["jobs"])[:ASKED_MOST]


def _id(org_id: OrgId, near: Near) -> str:
    return f"{org_id} {near.figure}"
