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
KEPT_FOR: Mapping[str, timedelta] = {"failed": timedelta(days=3), "cancelled": timedelta(hours=1)}
"""How long an upload is kept after its job ended so, for a retry."""


@dataclass
class Cleaned:
    """What a pass did: blobs whose bytes it *deleted*, uploads it gave up, and what it *left* for later."""

    deleted: int = 0
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
        for org_id in self._registry.with_due(LOOSE_BLOBS, "until", self._clock.now(), BATCH):
            try:
                scope = self._registry.scope(org_id)
            except NotFound:  # purged meanwhile, with its bytes
                continue
            self._clean(scope, done)
        return done

    def _clean(self, scope: OrgScope, done: Cleaned) -> None:
        now = self._clock.now()
        due = list(scope[LOOSE_BLOBS].find({"until": {"$lte": now}}, sort=[("until", 1)], limit=BATCH))
        jobs = self._jobs(scope.org_id, [one["job_id"] for one in due if one["job_id"] is not None])
        for row in due:
            if row["state"] == "doomed":
                self._delete(scope, row, now)
                done.deleted += 1
            elif (keeps := _kept_until(row, jobs.get(row["job_id"]), now)) is not None:
                same = {"_id": row["_id"], "state": row["state"]}
                scope[LOOSE_BLOBS].update_one(same, {"$set": {"until": keeps}})
                done.left += 1
            else:
                self._give_up(scope, row, now)
                done.given_up += 1

    def _give_up(self, scope: OrgScope, row: Mapping[str, Any], now: datetime) -> None:
        if self._is_an_archive(scope.org_id, row["_id"]):
            scope[LOOSE_BLOBS].delete_one({"_id": row["_id"], "state": row["state"]})
            return
        blob_ids = ledger.blobs_in(row)
        ledger.give_up(scope, blob_ids, now, job_id=row["job_id"])
        ledger.delete(scope, self._blobs, blob_ids, now)

    def _delete(self, scope: OrgScope, row: Mapping[str, Any], now: datetime) -> None:
        ledger.delete(scope, self._blobs, [row["_id"]], now)
        if row.get("deleted"):
            again = {"_id": row["_id"], "state": "doomed", "deleted": True, "until": {"$gt": now}}
            scope[LOOSE_BLOBS].delete_one(again)

    def _is_an_archive(self, org_id: OrgId, blob_id: str) -> bool:
        """Tell whether the organization's archives have the blob: its job died before it could say so here."""
        mine = {"org_id": org_id, "blob_id": blob_id}
        return self._control.archives.find_one(mine, {"_id": 1}) is not None

    def _jobs(self, org_id: OrgId, ids: list[str]) -> dict[str, Mapping[str, Any]]:
        found = self._control.jobs.find({"_id": {"$in": ids}, "org_id": org_id}, {"state": 1, "finished_at": 1})
        return {one["_id"]: one for one in found}


def _kept_until(loose: Mapping[str, Any], job: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """Return until when a blob is left alone, or `None` if it is not."""
    if job is None:
        return None
    if job["state"] not in FINAL:
        return now + LEASE
    ends = job["finished_at"] + KEPT_FOR.get(job["state"], timedelta()) if loose["state"] == "received" else now
    return ends if ends > now else None
