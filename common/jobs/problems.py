"""What a job shows of its failures, and when losing its worker has become its own fault."""

from datetime import datetime
from typing import Any

from common.jobs.kind import KINDS

_MAX_OF_UNKNOWN_KINDS = 3


def problem_of_loss(kind: str, losses: int, now: datetime) -> dict[str, Any] | None:
    """Return the problem that ends a job of *kind* after so many *losses*, or `None` while it may run again."""
    known = KINDS.get(kind)
    most = known.terms.max_losses if known else _MAX_OF_UNKNOWN_KINDS
    if losses <= most:
        return None
    return problem(
        "worker-lost",
        f"The worker died {losses} times while it ran this job; it is not tried again by itself.",
        attempt=0,
        now=now,
    )


def problem(code: str, detail: str, *, attempt: int, now: datetime) -> dict[str, Any]:
    """Make what a job's `error` shows: a stable code, a sentence, the attempt and when. Never a traceback."""
    return {"code": code, "detail": detail[:2000], "attempt": attempt, "at": now}
