"""The ledger of loose bytes: every blob that no file has yet, or has any more, is written down before it is there.

incoming ──▶ received ──▶ (a file has it)        an upload: what comes, and what a job is to import
writing ─────────────────▶ (a file has it)       the entries of an archive, while their job writes them
   └──────────────┴──▶ doomed ──▶ (gone)         what nobody needs: given up, or its last link went

A blob is deleted as soon as it is doomed, and once more an hour later: a process that was frozen in the middle of
writing it may have put it there again. Whatever a crash leaves is found here by the cleaner; no store is searched.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from common.errors import StorageUnavailable, Unavailable
from common.files import quota
from common.files.collections import LOOSE_BLOBS
from common.ids import JobId, new_id
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


def note(scope: OrgScope, loose: Loose, limit_bytes: int) -> None:
    """Write a blob down before it is written, with its part of the quota. Raises `OverQuota`."""

    def work(inner: OrgScope) -> None:
        quota.reserve(inner, loose.reserved_bytes, limit_bytes)
        inner[LOOSE_BLOBS].insert_one(
            {
                "_id": loose.blob_id,
                "state": loose.state,
                "job_id": loose.job_id,
                "entry": loose.entry,
                "reserved_bytes": loose.reserved_bytes,
                "until": loose.until,
            }
        )

    scope.transaction(work)


def note_all(scope: OrgScope, loose: Sequence[Loose], limit_bytes: int) -> None:
    """Write the blobs of a group down, of one job and in one row. Raises `OverQuota`, and none is written then."""
    if not loose:
        return
    total_bytes = sum(one.reserved_bytes for one in loose)
    parts = [{"id": one.blob_id, "entry": one.entry, "bytes": one.reserved_bytes} for one in loose]
    row = {
        "_id": new_id(),
        "state": "writing",
        "job_id": loose[0].job_id,
        "reserved_bytes": total_bytes,
        "until": loose[0].until,
        "parts": parts,
    }

    def work(inner: OrgScope) -> None:
        quota.reserve(inner, total_bytes, limit_bytes)
        inner[LOOSE_BLOBS].insert_one(row)

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
        coming = {"_id": blob_id, "state": "incoming"}
        found = inner[LOOSE_BLOBS].find_one(coming)
        if found is None:
            raise GivenUp(_GONE)
        quota.move(inner, reserved_bytes=size_bytes - found["reserved_bytes"])
        fields = {"state": "received", "reserved_bytes": size_bytes, "until": until}
        inner[LOOSE_BLOBS].update_one(coming, {"$set": fields})

    scope.transaction(work)


def of_job(scope: OrgScope, job_id: JobId) -> list[Loose]:
    """Return the blobs that a job imports or writes."""
    found = scope[LOOSE_BLOBS].find({"job_id": job_id, "state": {"$ne": "doomed"}})
    return [one for row in found for one in _blobs_of(row)]


def settle(
    scope: OrgScope,
    *,
    kept: Collection[str],
    unneeded: Collection[str],
    now: datetime,
    job_id: JobId | None = None,
) -> None:
    """Let files have the blobs *kept*, and doom those *unneeded*, in the transaction of *scope*.

    Gives back what was reserved for either. Those that *job_id* noted in groups are found by it. Raises `GivenUp`
    if one of those kept is not in the ledger.
    """
    wanted = {*kept, *unneeded}
    whose = [{"_id": {"$in": sorted(wanted)}}, *([{"job_id": job_id}] if job_id is not None else [])]
    rows = list(scope[LOOSE_BLOBS].find({"$or": whose, "state": {"$ne": "doomed"}}))
    split = [(row, *_split(row, wanted)) for row in rows]
    found = {one.blob_id for _, taken, _ in split for one in taken}
    if not found.issuperset(kept):
        raise GivenUp(_GONE)
    quota.move(scope, reserved_bytes=-sum(one.reserved_bytes for _, taken, _ in split for one in taken))
    for row, taken, left in split:
        if taken:
            _take_from(scope, row, left)
    doom(scope, sorted(found.intersection(unneeded).difference(kept)), now)


def settle_one(scope: OrgScope, job_id: JobId, kept: str, now: datetime) -> None:
    """Let something have the blob *kept* of a job, and doom those of its other runs, in *scope*'s transaction."""
    others = [one.blob_id for one in of_job(scope, job_id) if one.blob_id != kept]
    settle(scope, kept=[kept], unneeded=others, now=now)


def doom(scope: OrgScope, blob_ids: Iterable[str], now: datetime) -> None:
    """Note that these blobs are needed no more, in the transaction of *scope*."""
    plain = {"state": "doomed", "job_id": None, "reserved_bytes": 0, "until": now}
    documents = [{"_id": blob_id, **plain} for blob_id in blob_ids]
    if documents:
        scope[LOOSE_BLOBS].insert_many(documents)


def give_up_row(scope: OrgScope, row: Mapping[str, Any], now: datetime) -> list[str]:
    """Doom the blobs of a row that is still as it was read; return them, or nothing if its writer came back."""

    def work(inner: OrgScope) -> list[str]:
        same = {"_id": row["_id"], "state": row["state"], "until": row["until"]}
        found = inner[LOOSE_BLOBS].find_one(same)
        if found is None:
            return []
        ids = blobs_in(found)
        settle(inner, kept=(), unneeded=ids, now=now, job_id=found["job_id"])
        return ids

    return scope.transaction(work)


def give_up(scope: OrgScope, blob_ids: Sequence[str], now: datetime, *, job_id: JobId | None = None) -> None:
    """Doom loose blobs, whatever state they are in, and give back what was reserved for them."""
    scope.transaction(lambda inner: settle(inner, kept=(), unneeded=blob_ids, now=now, job_id=job_id))


def delete(scope: OrgScope, blobs: BlobStore, blob_ids: Iterable[str], now: datetime) -> int:
    """Delete the bytes of doomed blobs, and have the cleaner do it once more later; what fails is left to it.

    Return how many are gone.
    """
    gone = [blob_id for blob_id in blob_ids if _try_delete(blobs, blob_id)]
    if gone:
        again = {"$set": {"deleted": True, "until": now + LEASE}}
        scope[LOOSE_BLOBS].update_many({"_id": {"$in": gone}, "state": "doomed"}, again)
    return len(gone)


def _try_delete(blobs: BlobStore, blob_id: str) -> bool:
    try:
        blobs.delete(blob_id)
    except StorageUnavailable:
        SWALLOWED.labels("ledger").inc()
        return False
    return True


def blobs_in(row: Mapping[str, Any]) -> list[str]:
    """Name the blobs of a row of the ledger."""
    return [one["id"] for one in row["parts"]] if "parts" in row else [row["_id"]]


def _blobs_of(row: Mapping[str, Any]) -> list[Loose]:
    parts = row.get("parts", ({"id": row["_id"], "entry": row.get("entry"), "bytes": row["reserved_bytes"]},))
    return [
        Loose(one["id"], row["state"], row["job_id"], one["bytes"], row["until"], one["entry"]) for one in parts
    ]


def _split(row: Mapping[str, Any], wanted: Collection[str]) -> tuple[list[Loose], list[Loose]]:
    """Part the blobs of a row into those that are *wanted* and the others."""
    blobs = _blobs_of(row)
    return [one for one in blobs if one.blob_id in wanted], [one for one in blobs if one.blob_id not in wanted]


def _take_from(scope: OrgScope, row: Mapping[str, Any], left: Sequence[Loose]) -> None:
    """Leave in a row what is *left* of it; nothing left, and it goes."""
    if not left:
        scope[LOOSE_BLOBS].delete_one({"_id": row["_id"]})
        return
    ids = {one.blob_id for one in left}
    parts = [one for one in row["parts"] if one["id"] in ids]
    update = {"parts": parts, "reserved_bytes": sum(one.reserved_bytes for one in left)}
    scope[LOOSE_BLOBS].update_one({"_id": row["_id"]}, {"$set": update})
