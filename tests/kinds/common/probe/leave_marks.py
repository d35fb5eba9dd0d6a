"""A kind that writes one effect a step, and may wait, raise, defer, spin or die on the way."""

from common.jobs.kind import Job


class LeaveMarks(Job, name="probe.leave_marks", queue="tickets", time_limit_s=60, max_attempts=4):
    """Write *steps* marks in the organization's data, pausing *pause_s* before each.

    *trouble* happens once for each of the first *times* runs of the handler, at step *at*.
    """

    steps: int = 1
    pause_s: float = 0.0
    trouble: str = ""
    times: int = 1
    at: int = 0
    spin_s: float = 0.0
    defer_s: float = 0.2
    note: str = ""


class LeaveRareMarks(Job, name="probe.leave_rare_marks", queue="tickets", time_limit_s=60, max_running=1):
    """Write *steps* marks, pausing *pause_s* before each; only one of these runs at a time."""

    steps: int = 1
    pause_s: float = 0.0
