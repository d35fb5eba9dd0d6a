"""Run one job of imports in this process and print what it came to and how much memory it took, as JSON.

Started by the tests with the organization and the job as arguments and the settings in the environment.
"""

import json
import sys
from pathlib import Path

from common.config import load
from common.ids import JobId, OrgId
from common.jobs.members import Member
from common.services import Services
from workers.context import Context
from workers.runner import run
from workers.tickets import import_file as _registers_itself  # noqa: F401


def peak_mb() -> float:
    """Return the most memory that this process ever held (`getrusage` would count its parent's)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Run the job."""
    org_id, job_id = sys.argv[1:]
    services = Services(load())
    claimed = services.jobs.claim(Member(OrgId(org_id), JobId(job_id), "tickets.import_file"), "test")
    assert claimed is not None
    before_mb = peak_mb()
    outcome = run(claimed, Context(services, claimed))
    told = {"ending": outcome.ending, "result": outcome.result, "before_mb": before_mb, "peak_mb": peak_mb()}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
