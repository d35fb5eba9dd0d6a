"""Accepts jobs in process, through the same code as the API."""

import threading
import time

from common.caller import Caller
from common.config import load
from common.ids import OrgId, new_id
from common.organizations.person import Person, person_document
from common.services import Services


def services() -> Services:
    """Return services on the benchmark's databases, with everything made and nothing in them."""
    made = Services(load(), process="bench")
    made.prepare()
    made.control.jobs.delete_many({})
    return made


def organization(made: Services) -> Caller:
    """Put an organization there, and return a caller of it."""
    org_id = OrgId(new_id())
    made.control.organizations.insert_one(
        {
            "_id": org_id,
            "name": "Bench",
            "slug": org_id[-12:],
            "tier": "enterprise",
            "placement": {"mode": "pooled", "database": made.settings.data_databases[0]},
            "created_at": made.clock.now(),
        }
    )
    return Caller(org_id=org_id, user_id="bench", role="admin", request_id="bench")


def person_of(made: Services, org_id: OrgId) -> Person:
    """Put an admin into an organization, and return them."""
    user_id = new_id()
    made.control.users.insert_one(
        person_document(
            user_id=user_id,
            org_id=org_id,
            email=f"{user_id}@bench.example",
            role="admin",
            password_hash="",  # nobody signs in with one here
            clock=made.clock,
        )
    )
    return made.people.get(org_id, user_id)


def submit_many(count: int, *, ms: float = 0, tenants: int = 1, threads: int = 16) -> float:
    """Accept *count* jobs, of no length or of *ms*, from that many threads; return jobs a second."""
    from common.bench.do_nothing import DoNothing, TakeTime

    made = services()
    callers = [organization(made) for _ in range(tenants)]

    def some(first: int) -> None:
        for number in range(first, count, threads):
            job = TakeTime(number=number, ms=ms) if ms else DoNothing(number=number, note="x")
            made.submit(callers[number % tenants], job)

    workers = [threading.Thread(target=some, args=(first,)) for first in range(threads)]
    started = time.perf_counter()
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    rate = count / (time.perf_counter() - started)
    made.close()
    return rate


def person(made: Services, caller: Caller, email: str, password: str) -> str:
    """Put an admin into the caller's organization; return the organization's slug."""
    from common.organizations.passwords import hash_password
    from common.organizations.person import person_document

    hashed = hash_password(password)
    made.control.users.insert_one(
        person_document(
            user_id=new_id(),
            org_id=caller.org_id,
            email=email,
            role="admin",
            password_hash=hashed,
            clock=made.clock,
        )
    )
    return made.registry.get(caller.org_id).slug
