"""A kind that calls an outside host, under a lock if asked, and is told what the host answers."""

from typing import Literal

from common.jobs.kind import Job


class CallOutside(Job, name="probe.call_outside", queue="tickets", time_limit_s=60, max_attempts=4):
    """Call *host* so many times, with at most *permits* calls in *per_s* seconds by everybody."""

    host: str
    calls: int = 1
    permits: int = 60
    per_s: float = 60.0
    credential: str = ""
    answer: Literal["ok", "429", "ill"] = "ok"
    lock: str = ""
    ttl_s: float = 1.0
    pause_s: float = 0.0
