"""The API dies between its two writes, and between an effect and its answer: a repetition finds what was done."""

import subprocess
import sys

from common.probe.leave_marks import LeaveMarks

from deploy.local.supervisor import ROOT
from tests.faults.fleet import SIGKILL, WORK, Fleet
from tests.integration.conftest import token_of
from web.app import create_app

DIES_BEFORE_REDIS = """
made.lanes.admit_all_soon = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
made.submit(caller_of(OrgId(sys.argv[1])), LeaveMarks(steps=4, pause_s=0.05))
"""
DIES_BEFORE_ANSWER = """
from web.app import create_app
app = create_app(made)
app.after_request(lambda _: os.kill(os.getpid(), signal.SIGKILL))
app.test_client().post(sys.argv[2], headers={"Authorization": sys.argv[3], "Idempotency-Key": sys.argv[4]})
"""
PROCESS = """
import os, signal, sys
from common.config import Settings
from common.services import Services
from common.ids import OrgId
from common.probe.leave_marks import LeaveMarks
from tests.integration.conftest import caller_of
made = Services(Settings())
"""


def die(fleet: Fleet, script: str, *arguments: str) -> None:
    """Run a process of the API that ends by its own hand at the worst moment."""
    command = [sys.executable, "-c", PROCESS + script, fleet.org_id, *arguments]
    died = subprocess.run(command, env=fleet.environment, cwd=ROOT, check=False, timeout=60)
    assert died.returncode == -SIGKILL


def test_killed_between_its_two_writes(fleet: Fleet) -> None:
    for _ in range(3):
        with fleet.fault("API killed between its two writes"):
            die(fleet, DIES_BEFORE_REDIS)
    for record in fleet.services.jobs.page(fleet.org_id, limit=10):
        fleet.expect(record, WORK)

    assert len(fleet.accepted) == 3
    fleet.settle()
    fleet.check()


def test_killed_between_effect_and_answer(fleet: Fleet) -> None:
    failing = LeaveMarks(steps=2, trouble="fail", at=1)  # the first run leaves one effect, the second the other
    job = fleet.submit(failing, ends=("succeeded",))[0]
    fleet.settle()
    token = token_of(fleet.services, fleet.org_id)
    authorization, path = f"Bearer {token}", f"/v1/jobs/{job.id}/retry"

    with fleet.fault("API killed between effect and answer"):
        die(fleet, DIES_BEFORE_ANSWER, path, authorization, "a-key")
    headers = {"Authorization": authorization, "Idempotency-Key": "a-key"}
    answers = [create_app(fleet.services).test_client().post(path, headers=headers) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {202}
    assert {answer.headers["Idempotency-Replayed"] for answer in answers} == {"true"}
    fleet.settle()
    assert {record.run for record in fleet.records()} == {2}  # however often it was asked
    fleet.check()
