"""The cleaner: what a crash left in the ledger is given up, and doomed bytes are deleted.

of a row that is due      the cleaner
doomed                    deletes its bytes; the second time, an hour later, the row goes too
no job was accepted       gives it up: its upload died before
its job has not ended     leaves it alone for another hour
its job failed            keeps what was uploaded for three days, so that a retry finds it (an hour if cancelled)
its job ended otherwise   gives it up
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.clock import Clock
from common.errors import NotFound
from common.files import ledger
from common.files.collections import LOOSE_BLOBS
from common.files.ledger import LEASE
from common.ids import OrgId
from common.jobs.record import FINAL
from common.storage.blob_store import BlobStore
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Registry
from common.tenancy.scope import OrgScope

BATCH = 200
LOOKED_AT = 20_000
"""So many rows that are due are looked at to find whose they are: nobody's many keep another's waiting."""
KEPT_FOR: Mapping[str, timedelta] = {"failed": timedelta(days=3), "cancelled": timedelta(hours=1)}
"""How long an upload is kept after its job ended so, for a retry."""


@dataclass
class Cleaned:
    """What a pass did: blobs whose bytes it *deleted*, uploads it gave up, and what it *left* for later.

    *failed* are those that the store did not delete.
    """

    deleted: int = 0
    failed: int = 0
    given_up: int = 0
    left: int = 0


class Cleaner:
    """Cleans up after all organizations. Several may run at once: each step may be repeated."""

    def __init__(self, control: ControlPlane, registry: Registry, blobs: BlobStore, clock: Clock) -> None:
        self._control = control
        self._registry = registry
        self._blobs = blobs
        self._clock = clock

    def once(self) -> Cleaned:
        """Make one pass: a batch of what is due in each organization. Raises `PyMongoError`.

        A store that fails leaves its blobs to a later pass.
        """
        done = Cleaned()
        for org_id in self._registry.with_due(LOOSE_BLOBS, "until", self._clock.now(), LOOKED_AT):
            try:
                scope = self._registry.scope(org_id)
            except NotFound:  # purged meanwhile, with its bytes
                continue
            self._clean(scope, done)
        return done

    def _clean(self, scope: OrgScope, done: Cleaned) -> None:
        now = self._clock.now()
        for row in list(scope[LOOSE_BLOBS].find({"until": {"$lte": now}}, sort=[("until", 1)], limit=BATCH)):
            if row["state"] == "doomed":
                is_gone = self._delete(scope, row, now)
                done.deleted += is_gone
                done.failed += not is_gone
            elif (keeps := _kept_until(row, self._job_of(scope.org_id, row), now)) is not None:
                same = {"_id": row["_id"], "state": row["state"], "until": row["until"]}
                scope[LOOSE_BLOBS].update_one(same, {"$set": {"until": keeps}})
                done.left += 1
            else:
                self._give_up(scope, row, now)
                done.given_up += 1

    def _give_up(self, scope: OrgScope, row: Mapping[str, Any], now: datetime) -> None:
        if self._is_an_archive(scope.org_id, row["_id"]):
            scope[LOOSE_BLOBS].delete_one({"_id": row["_id"], "state": row["state"]})
            return
        ledger.delete(scope, self._blobs, ledger.give_up_row(scope, row, now), now)

    def _delete(self, scope: OrgScope, row: Mapping[str, Any], now: datetime) -> bool:
        if not ledger.delete(scope, self._blobs, [row["_id"]], now):
            return False
        if row.get("deleted"):
            again = {"_id": row["_id"], "state": "doomed", "deleted": True, "until": {"$gt": now}}
            scope[LOOSE_BLOBS].delete_one(again)
        return True

    def _is_an_archive(self, org_id: OrgId, blob_id: str) -> bool:
        """Tell whether the organization's archives have the blob: its job died before it could say so here."""
        mine = {"org_id": org_id, "blob_id": blob_id}
        return self._control.archives.find_one(mine, {"_id": 1}) is not None

    def _job_of(self, org_id: OrgId, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the job of a row as it is now: it may have been retried since the pass began."""
        mine = {"_id": row["job_id"], "org_id": org_id}
        found: Mapping[str, Any] | None = self._control.jobs.find_one(mine, {"state": 1, "finished_at": 1})
        return found


def _kept_until(loose: Mapping[str, Any], job: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """Return until when a blob is left alone, or `None` if it is not."""
    if job is None:
        return None
    if job["state"] not in FINAL:
        return now + LEASE
    ends = job["finished_at"] + KEPT_FOR.get(job["state"], timedelta()) if loose["state"] == "received" else now
    return ends if ends > now else None
