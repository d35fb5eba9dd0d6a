"""A job that does nothing, step by step: for trying out a client, and for monitors."""

from typing import Annotated

from annotated_types import Ge, Le

from common.jobs.kind import Job


class Rehearse(Job, name="jobs.rehearse", queue="organizations", time_limit_s=60, open_to=("admin", "member")):
    """Go through *steps* steps, waiting *pause_s* seconds after each; a waiting job holds no worker."""

    steps: Annotated[int, Ge(1), Le(1_000)] = 3
    pause_s: Annotated[float, Ge(0), Le(3_600)] = 0.0
