"""What is asked: compare all collections and indexes with what is declared, and bring them up to date."""

from typing import Literal

from common.jobs.kind import Job


class TendIndexes(
    Job,
    name="platform.tend_indexes",
    queue="organizations",
    time_limit_s=6 * 3600,
    max_attempts=20,
    max_losses=20,
    max_running=1,
    open_to=("operator",),
):
    """Look at every collection of every database, and of every dedicated organization.

    `plan` says what `apply` would make; `verify` also compares the registry with what is really there.
    """

    mode: Literal["plan", "apply", "verify"] = "plan"
