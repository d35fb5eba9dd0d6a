"""A job works for its own organization, whatever ran before it in the same process, and however that ended."""

import itertools
import random
from typing import Any

import pytest
import structlog
from common.probe.leave_marks import LeaveMarks
from common.probe.marks import MARKS
from structlog.testing import capture_logs

from common.ids import OrgId
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_organization
from workers import runner
from workers.context import Context

TROUBLES = ("", "raise", "transient", "fail", "defer")


@pytest.fixture
def organizations(services: Services) -> list[OrgId]:
    """Return three organizations."""
    return [make_organization(services, f"Org {number}") for number in range(3)]


def marks(services: Services, org_id: OrgId) -> set[str]:
    return {one["job_id"] for one in services.registry.scope(org_id)[MARKS].find({})}


def test_no_job_writes_for_another_organization_whatever_came_before(
    services: Services, organizations: list[OrgId]
) -> None:
    draw, slot = random.Random(7), Slot(services)
    mine: dict[OrgId, set[str]] = {one: set() for one in organizations}
    for trouble, org_id in itertools.product(TROUBLES * 4, organizations):
        job = LeaveMarks(steps=2, trouble=trouble, at=draw.choice((0, 1)), times=9)
        mine[org_id].add(services.submit(caller_of(org_id), job).id)

    while slot.step() is not None:
        pass

    for org_id in organizations:
        found = marks(services, org_id)
        assert found
        assert found <= mine[org_id]


def test_what_is_bound_to_the_log_is_the_jobs_own_organization_and_nothing_stays(
    services: Services, organizations: list[OrgId], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bound = runner.HANDLERS[LeaveMarks], list[Any]()

    def noting(ctx: Context, job: LeaveMarks) -> Any:
        bound.append((ctx.org_id, ctx.scope.org_id, structlog.contextvars.get_contextvars()))
        return real(ctx, job)

    monkeypatch.setitem(runner.HANDLERS, LeaveMarks, noting)
    slot, before = Slot(services), structlog.contextvars.get_contextvars()
    for trouble, org_id in itertools.product(TROUBLES, organizations):
        job = services.submit(caller_of(org_id), LeaveMarks(steps=1, trouble=trouble, times=9))
        slot.step()

        whose, scoped, said = bound.pop()
        assert (whose, scoped, said["org_id"], said["job_id"]) == (org_id, org_id, org_id, job.id)
        assert structlog.contextvars.get_contextvars() == before


def test_a_forged_member_runs_nobodys_job_in_anothers_name(services: Services, organizations: list[OrgId]) -> None:
    from dataclasses import replace

    first, second = organizations[:2]
    job = services.submit(caller_of(first), LeaveMarks(steps=1))
    forged = replace(job.entry.member, org_id=second)
    slot = Slot(services)

    with capture_logs():
        assert slot.claim(forged) is None
        assert services.jobs.claim_all([forged, forged], "w") == []

    assert marks(services, second) == set()
    assert services.jobs.get(first, job.id).state == "queued"
