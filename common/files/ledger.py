"""The ledger of loose bytes: every blob that no file has yet, or has any more, is written down before it is there.

incoming ──▶ received ──▶ (a file has it)        an upload: what comes, and what a job is to import
writing ─────────────────▶ (a file has it)       an entry of an archive, while its job writes it
   └──────────────┴──▶ doomed ──▶ (gone)         what nobody needs: given up, or its last link went

A blob is deleted as soon as it is doomed, and once more an hour later: a process that was frozen in the middle of
writing it may have put it there again. Whatever a crash leaves is found here by the cleaner; no store is searched.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from common.errors import StorageUnavailable, Unavailable
from common.files import quota
from common.files.collections import LOOSE_BLOBS
from common.ids import JobId
from common.metrics import SWALLOWED
from common.storage.blob_store import BlobStore
from common.tenancy.scope import OrgScope

State = Literal["incoming", "received", "writing", "doomed"]
LEASE = timedelta(hours=1)
"""How long a blob is left alone without a sign of its writer's life."""
_GONE = "These bytes were given up, because nothing came for an hour. Send them again."


@dataclass(frozen=True)
class Loose:
    """A blob of the ledger; *entry* is its number in the archive that it comes from."""

    blob_id: str
    state: State
    job_id: JobId
    reserved_bytes: int
    until: datetime
    entry: int | None = None


class GivenUp(Unavailable):
    """The ledger does not know the blob any more: the cleaner took its writer for dead."""


def note(scope: OrgScope, loose: Sequence[Loose], limit_bytes: int) -> None:
    """Write blobs down before they are written, with their part of the quota. Raises `OverQuota`."""

    def work(inner: OrgScope) -> None:
        quota.reserve(inner, sum(one.reserved_bytes for one in loose), limit_bytes)
        inner[LOOSE_BLOBS].insert_many([_document(one) for one in loose])

    if loose:
        scope.transaction(work)


def grow(scope: OrgScope, blob_id: str, by_bytes: int, limit_bytes: int, until: datetime) -> None:
    """Reserve more for a blob that is coming. Raises `OverQuota` or `GivenUp`, with nothing changed."""

    def work(inner: OrgScope) -> None:
        quota.reserve(inner, by_bytes, limit_bytes)
        update = {"$inc": {"reserved_bytes": by_bytes}, "$set": {"until": until}}
        if not inner[LOOSE_BLOBS].update_one({"_id": blob_id, "state": "incoming"}, update):
            raise GivenUp(_GONE)

    scope.transaction(work)


def keep_alive(scope: OrgScope, blob_id: str, until: datetime) -> None:
    """Say that a blob is still coming. Raises `GivenUp`."""
    if not scope[LOOSE_BLOBS].update_one({"_id": blob_id, "state": "incoming"}, {"$set": {"until": until}}):
        raise GivenUp(_GONE)


def receive(scope: OrgScope, blob_id: str, size_bytes: int, until: datetime) -> None:
    """Note that a blob is there, with its true size. Raises `GivenUp`."""

    def work(inner: OrgScope) -> None:
        found = inner[LOOSE_BLOBS].find_one_and_update(
            {"_id": blob_id, "state": "incoming"},
            {"$set": {"state": "received", "reserved_bytes": size_bytes, "until": until}},
        )
        if found is None:
            raise GivenUp(_GONE)
        quota.move(inner, reserved_bytes=size_bytes - found["reserved_bytes"])

    scope.transaction(work)


def of_job(scope: OrgScope, job_id: JobId) -> list[Loose]:
    """Return the blobs that a job imports or writes."""
    found = scope[LOOSE_BLOBS].find({"job_id": job_id, "state": {"$ne": "doomed"}})
    return [_read(one) for one in found]


def settle(scope: OrgScope, *, kept: Sequence[str], unneeded: Sequence[str], now: datetime) -> None:
    """Let files have the blobs *kept*, and doom those *unneeded*, in the transaction of *scope*.

    Gives back what was reserved for either. Raises `GivenUp` if one of those kept is not in the ledger.
    """
    loose = scope[LOOSE_BLOBS]
    found = list(loose.find({"_id": {"$in": [*kept, *unneeded]}, "state": {"$ne": "doomed"}}))
    ids = {one["_id"] for one in found}
    if not ids.issuperset(kept):
        raise GivenUp(_GONE)
    quota.move(scope, reserved_bytes=-sum(one["reserved_bytes"] for one in found))
    if kept:
        loose.delete_many({"_id": {"$in": list(kept)}})
    if unneeded:
        loose.update_many({"_id": {"$in": list(unneeded)}, "state": {"$ne": "doomed"}}, {"$set": _doom(now)})


def doom(scope: OrgScope, blob_ids: Iterable[str], now: datetime) -> None:
    """Note that these blobs, which files had, are needed no more, in the transaction of *scope*."""
    documents = [{"_id": blob_id, "job_id": None, "entry": None, **_doom(now)} for blob_id in blob_ids]
    if documents:
        scope[LOOSE_BLOBS].insert_many(documents)


def give_up(scope: OrgScope, blob_ids: Sequence[str], now: datetime) -> None:
    """Doom loose blobs, whatever state they are in, and give back what was reserved for them."""
    scope.transaction(lambda inner: settle(inner, kept=(), unneeded=blob_ids, now=now))


def delete(scope: OrgScope, blobs: BlobStore, blob_ids: Iterable[str], now: datetime) -> None:
    """Delete the bytes of doomed blobs, and have the cleaner do it once more later; what fails is left to it."""
    gone = [blob_id for blob_id in blob_ids if _try_delete(blobs, blob_id)]
    if gone:
        again = {"$set": {"deleted": True, "until": now + LEASE}}
        scope[LOOSE_BLOBS].update_many({"_id": {"$in": gone}, "state": "doomed"}, again)


def _try_delete(blobs: BlobStore, blob_id: str) -> bool:
    try:
        blobs.delete(blob_id)
    except StorageUnavailable:
        SWALLOWED.labels("ledger").inc()
        return False
    return True


def _doom(now: datetime) -> dict[str, Any]:
    return {"state": "doomed", "reserved_bytes": 0, "until": now}


def _document(one: Loose) -> dict[str, Any]:
    return {
        "_id": one.blob_id,
        "state": one.state,
        "job_id": one.job_id,
        "entry": one.entry,
        "reserved_bytes": one.reserved_bytes,
        "until": one.until,
    }


def _read(document: Mapping[str, Any]) -> Loose:
    return Loose(
        blob_id=document["_id"],
        state=document["state"],
        job_id=document["job_id"],
        reserved_bytes=document["reserved_bytes"],
        until=document["until"],
        entry=document["entry"],
    )
