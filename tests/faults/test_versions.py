"""A roll is under way: workers of the version before and of this one serve the same queues."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.probe.have_children import HaveChildren
from common.probe.leave_marks import LeaveMarks

from deploy.local.supervisor import ROOT
from tests.faults.fleet import WORK, Fleet, until


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Return the sources of the commit before, or, in a copy without history, of this one."""
    tree = tmp_path / "before"
    archive = tmp_path / "before.tar"
    command = ["git", "-C", str(ROOT), "archive", "--output", str(archive), "HEAD~1"]
    if subprocess.run(command, check=False, capture_output=True).returncode == 0:
        with tarfile.open(archive) as file:
            file.extractall(tree, filter="data")
        return tree
    for part in ("common", "workers", "deploy"):
        shutil.copytree(ROOT / part, tree / part)
    shutil.copy(ROOT / "celeryconfig.py", tree)
    return tree


@pytest.fixture
def kinds_of_before(tmp_path: Path) -> Path:
    """Return the tests' kinds without one, which is as good as new to who has only these."""
    kinds = tmp_path / "kinds"
    shutil.copytree(ROOT / "tests" / "kinds", kinds, ignore=shutil.ignore_patterns("have_children.py"))
    return kinds


@pytest.fixture
def rolling(before: Path, kinds_of_before: Path) -> Iterator[Fleet]:
    """Run a worker and a sweeper of the version before."""
    fleet = Fleet(workers=0, sweepers=0)
    try:
        fleet.start()
        for name in ("worker-1", "sweeper-1"):
            fleet.run(name, tree=before, kinds=kinds_of_before)
        fleet.await_slots(2)
        yield fleet
    finally:
        fleet.close()


@pytest.mark.slow
def test_a_kind_that_the_older_version_does_not_know_is_held_and_not_failed(rolling: Fleet) -> None:
    fleet = rolling
    new = fleet.submit(HaveChildren(count=4), 3)
    fleet.submit(WORK, 10)

    def is_held() -> bool:
        held = [record for record in fleet.records() if record.kind == HaveChildren.name]
        return all((one.waiting_for or {}).get("reason") == "kind_unknown_here" for one in held)

    until(is_held, "the new kind to be held", report=fleet.report)
    with fleet.fault("a roll: workers of two versions on one queue"):
        fleet.flush()  # the older sweeper rebuilds lanes of kinds that it does not know
        fleet.run("worker-2")
        fleet.run("sweeper-2")
        fleet.submit(WORK, 10)
        fleet.settle(120)

    ended = [record for record in fleet.records() if record.id in {one.id for one in new}]
    assert {(one.state, one.attempt, one.losses) for one in ended} == {("succeeded", 0, 0)}
    fleet.check()


@pytest.mark.slow
def test_work_passes_between_the_versions(rolling: Fleet) -> None:
    fleet = rolling
    fleet.run("worker-2")
    fleet.run("sweeper-2")
    fleet.await_slots(4)
    fleet.submit(LeaveMarks(steps=20, pause_s=0.1, trouble="defer", at=10, times=2), 12)
    for name in ("worker-1", "worker-2", "worker-1", "worker-2"):
        fleet.under_way(20)
        with fleet.fault("kills while jobs pass between two versions"):
            fleet.kill(name)

    fleet.settle(120)
    fleet.check()
