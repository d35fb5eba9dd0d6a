"""A process's services on real servers, and a worker's child without Celery around it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.caller import Caller, Role
from common.clock import SystemClock
from common.config import Settings
from common.ids import JobId, OrgId, new_id
from common.jobs.lanes import UNMEASURED
from common.jobs.leases import Claimed
from common.jobs.members import Member
from common.jobs.record import JobRecord
from common.organizations.person import Person, person_document
from common.services import Services
from workers import runner
from workers.context import Context, Signals
from workers.runner import Outcome, run

CLOCK = SystemClock()


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    """Return the services of one process, with every collection and index made."""
    runner.discover()
    made = Services(settings)
    made.prepare()
    yield made
    made.close()


def make_organization(services: Services, name: str = "Acme") -> OrgId:
    """Put an active organization there, without a sign-up."""
    org_id = OrgId(new_id())
    slug = f"o{org_id.replace('-', '')}"[:39]
    now = services.clock.now()
    services.control.slugs.insert_one({"_id": slug, "org_id": org_id, "state": "taken", "at": now})
    services.control.organizations.insert_one(
        {
            "_id": org_id,
            "name": name,
            "slug": slug,
            "tier": "free",
            "placement": {"mode": "pooled", "database": services.registry.pooled(org_id).database},
            "created_at": services.clock.now(),
        }
    )
    return org_id


@pytest.fixture
def org_id(services: Services) -> OrgId:
    """Return an organization."""
    return make_organization(services)


def make_person(services: Services, org_id: OrgId, role: Role = "admin", **fields: Any) -> Person:
    """Put somebody there who may sign in, without an invitation."""
    user_id = new_id()
    document = person_document(
        user_id=user_id,
        org_id=org_id,
        email=fields.pop("email", f"{user_id}@acme.example"),
        role=role,
        password_hash=fields.pop("password_hash", "$argon2id$none"),
        clock=CLOCK,
    )
    services.control.users.insert_one({**document, **fields})
    return services.people.get(org_id, user_id)


def token_of(services: Services, org_id: OrgId, role: Role = "admin") -> str:
    """Return the access token of somebody new in that organization."""
    return services.sessions.begin(make_person(services, org_id, role)).access_token


def caller_of(org_id: OrgId) -> Caller:
    """Return an admin of that organization."""
    return Caller(org_id=org_id, user_id="somebody", role="admin", request_id="a-request")


@pytest.fixture
def caller(org_id: OrgId) -> Caller:
    """Return an admin of the organization."""
    return caller_of(org_id)


@dataclass
class Asked(Signals):
    """What a test tells the handler."""

    lost: bool = False
    cancel: bool = False
    close: bool = False

    def lease_lost(self) -> bool:
        return self.lost

    def cancel_requested(self) -> bool:
        return self.cancel

    def closing(self) -> bool:
        return self.close


@dataclass
class Slot:
    """A worker's slot: takes, claims, runs and writes down through the real parts, in the test's own thread."""

    services: Services
    worker: str = "test-worker"
    outcomes: list[Outcome] = field(default_factory=list)

    def take(self, queue: str = "tickets") -> Member | None:
        """Take the next job."""
        return next(iter(self.services.lanes.take(queue, "1-1", linger_s=0, hold_s=30)), None)

    def claim(self, member: Member) -> Claimed | None:
        """Claim it."""
        return self.services.jobs.claim(member, self.worker)

    def run(self, claimed: Claimed, signals: Signals | None = None) -> Outcome:
        """Run its handler to an outcome."""
        return run(claimed, Context(self.services, claimed, signals))

    def write(self, claimed: Claimed, outcome: Outcome) -> bool:
        """Write the outcome down, as the clerk does."""
        from workers.clerk import Clerk, Ended
        from workers.events import JobEvents

        clerk = Clerk(
            self.services.jobs,
            self.services.lanes,
            JobEvents(None, self.worker, self.services.broker),
            self.services.clock,
            lambda _written: None,
        )
        return clerk._write(Ended(claimed, outcome, 0.0))

    def step(self, queue: str = "tickets") -> JobRecord | None:
        """Do one job, if there is one, and return its record."""
        member = self.take(queue)
        if member is None:
            return None
        claimed = self.claim(member)
        if claimed is None:
            self.services.lanes.part(queue, "1-1", [(member, UNMEASURED)])
            return None
        outcome = self.run(claimed)
        self.outcomes.append(outcome)
        self.write(claimed, outcome)
        return self.services.jobs.get(claimed.org_id, claimed.job_id)


@pytest.fixture
def slot(services: Services) -> Slot:
    """Return a slot of a worker."""
    return Slot(services)


@pytest.fixture
def job_of(services: Services, org_id: OrgId) -> Callable[[JobId], JobRecord]:
    """Return a function that reads a job of the organization."""
    return lambda job_id: services.jobs.get(org_id, job_id)
