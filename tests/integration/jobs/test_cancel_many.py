"""Cancelling many jobs by filter: what waits ends at once, what runs is asked to stop."""

from common.probe.be_quick import BeQuick
from common.probe.leave_marks import LeaveMarks

from common.caller import Caller
from common.jobs.cancel_many import CancelMany
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_organization

QUEUE = "organizations"


def test_what_waits_is_cancelled_what_runs_is_asked_and_it_spares_itself(
    services: Services, caller: Caller, slot: Slot
) -> None:
    running = services.submit(caller, BeQuick())
    slot.claim(slot.take())
    queued = [services.submit(caller, BeQuick()) for _ in range(3)]
    theirs = services.submit(caller_of(make_organization(services, "Other")), BeQuick())
    services.submit(caller, CancelMany())
    later = services.submit(caller, BeQuick())

    ended = slot.step(QUEUE)

    assert (ended.state, ended.result) == ("succeeded", {"found": 4, "changed": 4})
    assert {services.jobs.get(caller.org_id, job.id).state for job in queued} == {"cancelled"}
    assert services.jobs.get(caller.org_id, running.id).cancel_requested
    assert services.jobs.get(caller.org_id, later.id).state == "queued"
    assert services.jobs.get(theirs.org_id, theirs.id).state == "queued"
    assert services.lanes.look("tickets").waiting == 2


def test_only_what_the_filter_finds(services: Services, caller: Caller, slot: Slot) -> None:
    kept, gone = services.submit(caller, BeQuick()), services.submit(caller, LeaveMarks())

    services.submit(caller, CancelMany(kind=LeaveMarks.name, state="queued"))
    slot.step(QUEUE)

    assert services.jobs.get(caller.org_id, kept.id).state == "queued"
    assert services.jobs.get(caller.org_id, gone.id).state == "cancelled"
