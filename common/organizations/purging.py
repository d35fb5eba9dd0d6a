"""The steps by which an organization is removed for good; each may be repeated."""

from collections.abc import Callable
from typing import Any

from pymongo.client_session import ClientSession

from common.clock import Clock
from common.ids import OrgId
from common.jobs.kind import KINDS, Job, decode
from common.storage.blob_store import BlobStore
from common.tenancy.changes import Change, Changes
from common.tenancy.control import ControlPlane
from common.tenancy.registry import key_of

BATCH = 1_000
CONTROL_COLLECTIONS = (
    *("sessions", "api_keys", "users", "events", "archives", "jobs"),
    *("usage", "usage_storage", "usage_warnings", "platform_tenants"),
)
"""What the control plane has of an organization, in the order in which it goes."""

_Transact = Callable[[Callable[[ControlPlane, ClientSession], bool]], bool]


def begin(transact: _Transact, changes: Changes, org_id: OrgId, deletion_id: str) -> bool:
    """Mark the organization as being purged: it can't be restored from now on. `False` if it was restored."""
    last: list[Change] = []

    def work(control: ControlPlane, session: ClientSession) -> bool:
        last[:] = [changes.within(session)]
        mine = {"_id": org_id, "deletion.deletion_id": deletion_id}
        found = control.organizations.find_one(mine, session=session)
        if found is None or found["state"] not in {"deleted", "purging"}:
            return False
        revision = found.get("revision", 0) + 1
        update = {"$set": {"state": "purging", "revision": revision}}
        control.organizations.update_one(mine, update, session=session)
        last[0].note(key_of(org_id), revision)
        return True

    is_begun = transact(work)
    changes.tell(last[0])
    return is_begun


def remove_files(control: ControlPlane, blobs: BlobStore, org_id: OrgId) -> int:
    """Remove the files that a batch of jobs and archives name; return how many named some."""
    archives = list(control.archives.find({"org_id": org_id, "blob_id": {"$exists": True}}).limit(BATCH))
    for one in archives:
        blobs.delete(one["blob_id"])
    gone = {"_id": {"$in": [one["_id"] for one in archives]}}
    control.archives.update_many(gone, {"$unset": {"blob_id": ""}})
    with_files = [kind.name for kind in KINDS.values() if kind.blobs is not Job.blobs]
    mine = {"org_id": org_id, "kind": {"$in": with_files}, "files_gone": None}
    jobs = list(control.jobs.find(mine, {"kind": 1, "payload": 1}).limit(BATCH))
    for job in jobs:
        for blob_id in _blobs_of(job):
            blobs.delete(blob_id)
    control.jobs.update_many({"_id": {"$in": [one["_id"] for one in jobs]}}, {"$set": {"files_gone": True}})
    return len(archives) + len(jobs)


def remove_rows(control: ControlPlane, name: str, org_id: OrgId) -> int:
    """Remove a batch of what *name*, a collection of the control plane, has of the organization."""
    collection: Any = getattr(control, name)
    page = [one["_id"] for one in collection.find({"org_id": org_id}, {"_id": 1}).limit(BATCH)]
    if name == "jobs":
        for job_id in page:  # a parent's closings stand under its id and the child's
            control.closings.delete_many({"_id": {"$gte": f"{job_id}:", "$lt": f"{job_id};"}})
    return int(collection.delete_many({"_id": {"$in": page}, "org_id": org_id}).deleted_count) if page else 0


def bury(control: ControlPlane, changes: Changes, org_id: OrgId, clock: Clock) -> None:
    """Leave only that the organization was, and let its slugs go."""

    def work(change: Change) -> None:
        control.slugs.delete_many({"org_id": org_id}, session=change.session)
        control.event_numbers.delete_one({"_id": org_id}, session=change.session)
        control.platform_state.delete_one({"_id": f"pause:organization:{org_id}"}, session=change.session)
        # A slug of its own keeps the index unique; nobody can ask for one with a tilde.
        tombstone = {"slug": f"~{org_id}", "state": "purged", "purged_at": clock.now()}
        control.organizations.replace_one({"_id": org_id}, tombstone, session=change.session)
        change.note(key_of(org_id))

    changes.transact(work)


def _blobs_of(job: Any) -> tuple[str, ...]:
    try:
        return decode(KINDS[job["kind"]], job["payload"]).blobs()
    except Exception:  # noqa: BLE001 (a payload of a version before: what it names can't be known)
        return ()
