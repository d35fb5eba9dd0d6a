"""A fleet of slots in simulated time over real lanes: who is served, and how long each waits; nobody sleeps."""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from common.ids import JobId, OrgId, new_id
from common.jobs.lanes import Lanes
from common.jobs.members import Member

QUEUE = "tickets"
KIND = "probe.be_quick"


@dataclass
class Tenant:
    """What one organization asked for and got; times in milliseconds."""

    org_id: OrgId
    used_ms: float = 0.0
    served: int = 0
    waits: list[float] = field(default_factory=list)


class FairSlots:
    """So many slots that take, run for as long as *length_of* says, release and take again."""

    def __init__(self, lanes: Lanes, slots: int, length_of: Callable[[OrgId, int], float]) -> None:
        self.lanes = lanes
        self.now = 0.0
        self.tenants: dict[OrgId, Tenant] = {}
        self._length_of = length_of
        self._free = [f"{number}-1" for number in range(slots)]
        self._busy: list[tuple[float, int, str, Member, float]] = []
        self._asked_at: dict[JobId, float] = {}
        self._numbers: dict[JobId, int] = {}
        self._order = itertools.count()
        self._counts: dict[OrgId, int] = defaultdict(int)
        self.most_held: dict[OrgId, int] = defaultdict(int)

    def ask(self, org: str, jobs: int, kind: str = KIND) -> None:
        """Let *org* queue so many jobs now."""
        org_id = OrgId(org)
        tenant = self.tenants.setdefault(org_id, Tenant(org_id))
        members = [Member(org_id, JobId(new_id()), kind) for _ in range(jobs)]
        for member in members:
            self._asked_at[member.job_id] = self.now
            self._numbers[member.job_id] = self._counts[tenant.org_id]
            self._counts[tenant.org_id] += 1
        for start in range(0, jobs, 500):
            self.lanes.admit(QUEUE, [(member, 5) for member in members[start : start + 500]])

    def run(self, until_ms: float = float("inf"), jobs: int = 1_000_000) -> None:
        """Let the slots work until that time, or until so many jobs have ended, or nothing is left."""
        ended = 0
        while ended < jobs:
            self._fill()
            if not self._busy or self._busy[0][0] > until_ms:
                break
            self.now, _, slot, member, length = heapq.heappop(self._busy)
            tenant = self.tenants[member.org_id]
            tenant.used_ms += length
            tenant.served += 1
            self.lanes.release(QUEUE, [(member, length)])
            self._free.append(slot)
            ended += 1
        if until_ms != float("inf"):
            self.now = max(self.now, until_ms)

    def used(self) -> dict[str, float]:
        """Return the milliseconds that each used so far, those of running jobs as far as they are."""
        found = {str(org): tenant.used_ms for org, tenant in self.tenants.items()}
        for ends_at, _, _, member, length in self._busy:
            found[member.org_id] += max(0.0, length - (ends_at - self.now))
        return found

    def _fill(self) -> None:
        while self._free:
            found = self.lanes.take(QUEUE, self._free[-1], linger_s=0, hold_s=60)
            if not found:
                return
            slot = self._free.pop()
            for member in found:
                length = self._length_of(member.org_id, self._numbers[member.job_id])
                self.tenants[member.org_id].waits.append(self.now - self._asked_at[member.job_id])
                heapq.heappush(self._busy, (self.now + length, next(self._order), slot, member, length))
            held = defaultdict(int)
            for _, _, _, member, _ in self._busy:
                held[member.org_id] += 1
            for org, count in held.items():
                self.most_held[org] = max(self.most_held[org], count)


def jain(shares: list[float]) -> float:
    """Return Jain's index of fairness: 1 if all are equal, 1/n if one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
