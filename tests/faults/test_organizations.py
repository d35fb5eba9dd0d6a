"""Organizations are deleted, restored and purged under load while processes die, and the others notice nothing.

No effect comes while one is deleted, all of them once it is back, and nothing is left once it is purged.
"""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import psutil
import pytest
from common.probe.leave_marks import LeaveMarks
from common.probe.marks import MARKS

from common.caller import Caller
from common.ids import PLATFORM, OrgId, new_id
from common.jobs.record import FINAL
from common.organizations.life import Life
from common.tickets.collections import TICKETS
from tests.faults.fleet import SIGKILL, WORK, Fleet, until
from tests.integration.web.test_deletion import everything_of
from tests.integration.web.test_organizations import place

OPERATOR = Caller(org_id=PLATFORM, user_id="operator", role="operator", request_id="r")
ROWS = 40_000
ORGANIZERS = ("organizer-1", "organizer-2")
LATER = LeaveMarks(steps=4, trouble="defer", defer_s=0.5, times=2)


@pytest.fixture
def busy(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Run a fleet that also serves the organizations' queue."""
    del request
    made = Fleet()
    try:
        made.start()
        for name in ORGANIZERS:
            made.run(name)
        yield made
    finally:
        made.close()


def kill_some(fleet: Fleet, draw: random.Random, times: int) -> None:
    """Kill processes of every sort, at random, while work goes on."""
    names = (*fleet.workers, *fleet.sweepers, *ORGANIZERS)
    for _ in range(times):
        with suppress(psutil.Error, ProcessLookupError):
            fleet.supervisor.kill(draw.choice(names), SIGKILL)
        fleet.pass_by(0.4)


def ended(fleet: Fleet, job_id: str) -> None:
    """Return when the platform's job has ended well."""
    jobs = fleet.services.jobs
    until(lambda: jobs.get(PLATFORM, job_id).state in FINAL, "the platform's job to end", 90, fleet.report)
    assert jobs.get(PLATFORM, job_id).state == "succeeded", jobs.get(PLATFORM, job_id).error


def fill(fleet: Fleet, org_id: OrgId) -> None:
    """Give an organization more than is removed in a moment."""
    tickets = fleet.services.registry.scope(org_id)[TICKETS]
    for begin in range(0, ROWS, 5_000):
        tickets.insert_many(
            {"_id": new_id(), "source_id": "s", "natural_key": str(begin + number)} for number in range(5_000)
        )


def state_of(fleet: Fleet, org_id: OrgId) -> str:
    found = fleet.services.control.organizations.find_one({"_id": org_id}) or {}
    return str(found.get("state"))


def marks_of(fleet: Fleet, org_id: OrgId) -> int:
    return fleet.services.registry.scope(org_id)[MARKS].count_documents({})


def open_jobs(fleet: Fleet, org_id: OrgId) -> list[str]:
    found = fleet.services.control.jobs.find({"org_id": org_id, "state": {"$nin": sorted(FINAL)}})
    return [(one.get("waiting_for") or {}).get("reason", one["state"]) for one in found]


@pytest.mark.parametrize("mode", ["pooled", pytest.param("dedicated", marks=pytest.mark.slow)])
def test_deleted_restored_and_purged_under_load_while_everything_is_killed(busy: Fleet, mode: str) -> None:
    fleet, draw = busy, random.Random(20261121)
    services = fleet.services
    gone, stays = fleet.org_ids[:2]
    if mode == "dedicated":
        place(services, gone)
    for org_id in (gone, stays):
        fleet.submit(WORK, 20, org_id=org_id)
        fleet.submit(LATER, 10, org_id=org_id)
    fleet.under_way()

    with fleet.fault(f"delete, restore and purge under load, killed at random ({mode})"):
        deleted = services.life.delete(services.registry.get(gone, fresh=True), OPERATOR)
        fleet.submit(WORK, 10, org_id=gone)  # accepted in the same moment
        fleet.submit(WORK, 10, org_id=stays)
        kill_some(fleet, draw, 6)
        ended(fleet, deleted.id)
    until(lambda: set(open_jobs(fleet, gone)) == {"organization_deleted"}, "all to be held", 30, fleet.report)
    held, marks = len(open_jobs(fleet, gone)), marks_of(fleet, gone)
    fleet.submit(WORK, 5, org_id=stays)
    until(lambda: not open_jobs(fleet, stays), "the others to go on", 60, fleet.report)
    assert marks_of(fleet, gone) == marks, "a deleted organization's job wrote"
    assert held > 0

    restored = services.life.restore(services.registry.get(gone, fresh=True), OPERATOR)
    kill_some(fleet, draw, 4)
    ended(fleet, restored.id)
    fleet.settle(120)
    fleet.check()

    fill(fleet, gone)
    everything = everything_of(services, stays)
    at_once = Life(
        services.control,
        services.registry,
        services.changes,
        services.submitter,
        services.clock,
        kept_for=timedelta(0),
    )
    at_once.delete(services.registry.get(gone, fresh=True), OPERATOR)
    until(lambda: state_of(fleet, gone) == "purging", "the purge to begin", 30, fleet.report)
    for number in range(6):  # whoever purges
        with suppress(psutil.Error, ProcessLookupError):
            fleet.supervisor.kill(ORGANIZERS[number % 2], SIGKILL)
        fleet.pass_by(0.3)
    until(lambda: everything_of(services, gone) == {"organizations": 1}, "the purge to end", 90, fleet.report)
    assert everything_of(services, stays) == everything
    purge = services.control.jobs.find_one({"kind": "organizations.purge", "state": "succeeded"}) or {}
    print(f"{mode}: {held} held and released; purged by run {purge.get('claims')}")
