"""A kind that makes children, waits for them, and says how they ended."""

from common.jobs.kind import Job


class HaveChildren(Job, name="probe.have_children", queue="tickets", time_limit_s=120):
    """Make *count* children of *steps* marks each, in *batches* steps of its own, and count their ends.

    Every *failing*-th child fails. *depth* more generations are made below each of them.
    """

    count: int
    steps: int = 1
    batches: int = 1
    failing: int = 0
    depth: int = 0
    pause_s: float = 0.0
