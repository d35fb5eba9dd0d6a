"""The examiner that a worker's process keeps from job to job, because starting one costs what a hundred files do.

It is kept for one organization: whoever's files are examined next, nothing of another's has been in that process.
"""

from common.ids import OrgId
from workers.files.examining.examiner import Examiner


class Keeper:
    """Keeps one examiner. Not for several threads: it ends with the one that first used it."""

    def __init__(self) -> None:
        self._whose: OrgId | None = None
        self._examiner = Examiner()

    def lend(self, org_id: OrgId) -> Examiner:
        """Return the examiner, with a fresh child if the last one was another organization's."""
        if org_id != self._whose:
            self._examiner.close()
            self._whose = org_id
        return self._examiner

    def close(self) -> None:
        """End the child; the next that is lent starts another."""
        self._examiner.close()


KEPT = Keeper()
"""This process's."""
