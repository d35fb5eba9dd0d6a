"""How a group of an archive's entries is imported: read, stored where it is new, and linked in one transaction.

Small entries are read into memory, hashed and looked up before anything is written: what is known costs no write.
What is new is written under ids that stand in the ledger first, so that a run that takes over writes the same.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from common.errors import JobFailed, NotFound
from common.files import ledger
from common.files.collections import IMPORT_GROUPS
from common.files.findings import Findings
from common.files.import_entries import ImportEntries
from common.files.ledger import LEASE, Loose
from common.files.quota import OverQuota
from common.files.sharing import Content, Shared, Sharing, known, share
from common.ids import new_id
from common.tenancy.scope import OrgScope
from workers.context import Context
from workers.files.examining.examiner import Examiner
from workers.files.examining.kept import KEPT
from workers.files.storing import deed, drop, giving_up, room_must_be_there, until_settled
from workers.files.zip_entries import Damaged, ZipEntry, read_entry
from workers.runner import handles

SMALL_BYTES = 1024 * 1024
"""Up to here an entry is held in memory; a group is bounded, and so is what all of them take."""


@dataclass(frozen=True)
class Counts:
    """What became of the entries of a group."""

    new: int
    deduplicated: int
    refused: int


@dataclass(frozen=True)
class _Read:
    """An entry as far as it was read: its hash, and the bytes of a small one or the blob of a large one."""

    number: int
    entry: ZipEntry
    sha256: str = ""
    data: bytes | None = None
    blob_id: str | None = None
    findings: Findings | None = None
    problem: str | None = None


@handles(ImportEntries)
def import_entries(ctx: Context, job: ImportEntries) -> Counts:
    """Import them, once, wherever an earlier run of the job was cut off.

    Raises `JobFailed` if the archive or the room is gone; an entry that can't be had is refused alone.
    """
    ctx.resume()
    which = {"job_id": job.import_id, "number": job.group}
    group = ctx.scope[IMPORT_GROUPS].find_one(which)
    if group is None:
        raise JobFailed("What was to be unpacked is no longer known.", code="archive-gone")
    if group["state"] == "done":
        counts = Counts(**group["counts"])
    else:
        with giving_up(ctx), closing(_open(ctx, job)) as archive:
            room_must_be_there(ctx, job.room_id)
            counts = _run(ctx, job, archive, group)
        ctx.services.storage.tell(ctx.org_id)
    _show(ctx, job)
    return counts


def _run(ctx: Context, job: ImportEntries, archive: BinaryIO, group: Mapping[str, Any]) -> Counts:
    try:
        return _Group(ctx, job, archive, KEPT.lend(ctx.org_id)).run(group)
    except _DoneElsewhere:  # another child has the same group: this one was retried, and so was its parent
        done = ctx.scope[IMPORT_GROUPS].find_one({"job_id": job.import_id, "number": job.group})
        return Counts(**(done or group)["counts"])


def _open(ctx: Context, job: ImportEntries) -> BinaryIO:
    try:
        return ctx.blobs.open(job.blob_id)
    except NotFound as error:
        raise JobFailed("The archive is no longer stored; upload it again.", code="file-gone") from error


def _show(ctx: Context, job: ImportEntries) -> None:
    """Show in the parent how many entries are done; counted from an index."""
    sums = {"_id": "$state", "entries": {"$sum": "$size"}}
    pipeline: list[dict[str, Any]] = [{"$match": {"job_id": job.import_id}}, {"$group": sums}]
    found = {one["_id"]: one["entries"] for one in ctx.scope[IMPORT_GROUPS].aggregate(pipeline)}
    ctx.parents_progress(found.get("done", 0), sum(found.values()), "unpacking")


class _DoneElsewhere(Exception):
    """The group is done by another child; nothing was written."""


class _Group:
    """One run over one group."""

    def __init__(self, ctx: Context, job: ImportEntries, archive: BinaryIO, examiner: Examiner) -> None:
        self._ctx = ctx
        self._job = job
        self._archive = archive
        self._examiner = examiner
        self._scope = ctx.services.scope(ctx.org_id)
        self._place = new_id()[-2:]
        self._noted = {one.entry: one.blob_id for one in ledger.of_job(self._scope, ctx.job_id)}

    def run(self, group: Mapping[str, Any]) -> Counts:
        """Read, store and link what the group lists."""
        found = [self._read(one["number"], ZipEntry.restored(one)) for one in group["entries"]]

        def attempt() -> tuple[Counts, list[str]]:
            found[:] = self._store(found)
            return self._ctx.write(lambda scope: self._write(scope, found))

        counts, doomed = until_settled(attempt)
        drop(self._ctx, doomed)
        return counts

    def _read(self, number: int, entry: ZipEntry) -> _Read:
        self._ctx.stop_if_asked()
        if entry.problem is not None:
            return _Read(number, entry, problem=entry.problem)
        if entry.size_bytes > self._ctx.services.settings.file_max_bytes:
            return _Read(number, entry, problem="is larger than a file may be")
        try:
            if entry.size_bytes <= SMALL_BYTES:
                data = b"".join(read_entry(self._archive, entry))
                return _Read(number, entry, hashlib.sha256(data).hexdigest(), data=data)
            return self._read_large(number, entry)
        except Damaged as error:
            return _Read(number, entry, problem=str(error))
        except OverQuota:
            return _Read(number, entry, problem=_NO_ROOM)

    def _read_large(self, number: int, entry: ZipEntry) -> _Read:
        """Store an entry as it is read; whether it was known shows at its end."""
        (blob_id,) = self._note([(number, entry.size_bytes)]).values()
        chunks = self._going_on(read_entry(self._archive, entry))
        blob = self._ctx.blobs.save(chunks, max_bytes=entry.size_bytes, blob_id=blob_id)
        with closing(self._ctx.blobs.open(blob_id)) as file:
            findings = self._examiner.examine(file, blob.size_bytes)
        return _Read(number, entry, blob.sha256, blob_id=blob_id, findings=findings)

    def _going_on(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._ctx.stop_if_asked()
            yield chunk

    def _store(self, found: Sequence[_Read]) -> list[_Read]:
        """Store the small entries whose bytes are not stored yet, each content once."""
        there = known(self._scope, [one.sha256 for one in found if one.data is not None])
        wanted: dict[str, _Read] = {}
        for one in found:
            if one.data is not None and one.blob_id is None and one.sha256 not in there:
                wanted.setdefault(one.sha256, one)
        blob_ids = self._note_what_fits(list(wanted.values()))
        new = [one for one in wanted.values() if one.number in blob_ids]
        findings = self._save_and_examine(new, blob_ids)
        refused = {one.sha256 for one in wanted.values() if one.number not in blob_ids}
        return [_stored(one, blob_ids, findings, refused) for one in found]

    def _save_and_examine(self, new: Sequence[_Read], blob_ids: Mapping[int, str]) -> dict[int, Findings]:
        """Store what is *new* while the examiner, which is a process of its own, looks into it."""
        contents = {blob_ids[one.number]: one.data or b"" for one in new}
        with ThreadPoolExecutor(1) as beside:
            saved = beside.submit(self._ctx.blobs.save_many, contents)
            found = self._examiner.examine_all(list(contents.values()))
            saved.result()
        return dict(zip((one.number for one in new), found, strict=True))

    def _note_what_fits(self, wanted: Sequence[_Read]) -> dict[int, str]:
        """Write blobs down for what is *wanted*: all of it, or as many of them as the quota has room for."""
        sizes = [(one.number, one.entry.size_bytes) for one in wanted]
        try:
            return self._note(sizes)
        except OverQuota:
            fitting: dict[int, str] = {}
            for one in sizes:
                try:
                    fitting |= self._note([one])
                except OverQuota:
                    continue
            return fitting

    def _note(self, sizes: Sequence[tuple[int, int]]) -> dict[int, str]:
        """Return the blob's id for each entry, written down in the ledger by this run or an earlier one."""
        until = self._ctx.services.clock.now() + LEASE
        fresh = [
            Loose(self._new_id(), "writing", self._ctx.job_id, size_bytes, until, number)
            for number, size_bytes in sizes
            if number not in self._noted
        ]
        ledger.note_all(self._scope, fresh, self._ctx.services.storage.limit_of(self._ctx.org_id))
        self._noted.update({one.entry: one.blob_id for one in fresh})
        return {number: self._noted[number] for number, _ in sizes}

    def _new_id(self) -> str:
        """Make the id of a blob that lies where the group's others do: what they share is made safe once."""
        return new_id()[: -len(self._place)] + self._place

    def _write(self, scope: OrgScope, found: Sequence[_Read]) -> tuple[Counts, list[str]]:
        """Link what was read, and write down what became of each entry; returns also the blobs to delete."""
        good = [one for one in found if one.problem is None]
        contents = [
            Content(one.entry.name, one.sha256, one.entry.size_bytes, one.blob_id, one.findings) for one in good
        ]
        sharing = share(scope, self._job.room_id, contents, deed(self._ctx)) if contents else Sharing([], [])
        unneeded = self._settle_rest(scope, {one.blob_id for one in good})
        of = dict(zip((one.number for one in good), sharing.shared, strict=True))
        said = [_said(one, of.get(one.number)) for one in found]
        counts = Counts(*(sum(one["outcome"] == name for one in said) for name in OUTCOMES))
        done = {"state": "done", "entries": said, "counts": vars(counts)}
        which = {"job_id": self._job.import_id, "number": self._job.group}
        if not scope[IMPORT_GROUPS].update_one({**which, "state": "listed"}, {"$set": done}):
            raise _DoneElsewhere
        return counts, [*sharing.doomed, *unneeded]

    def _settle_rest(self, scope: OrgScope, used: set[str | None]) -> list[str]:
        """Give up what was written down and turned out to be of no use."""
        rest = [blob_id for blob_id in self._noted.values() if blob_id not in used]
        if rest:
            now = self._ctx.services.clock.now()
            ledger.settle(scope, kept=(), unneeded=rest, now=now, job_id=self._ctx.job_id)
        return rest


_NO_ROOM = "the organization's storage has no room for it"
OUTCOMES = ("new", "deduplicated", "refused")


def _stored(one: _Read, blob_ids: Mapping[int, str], findings: Mapping[int, Findings], refused: set[str]) -> _Read:
    if one.number in blob_ids:
        return replace(one, blob_id=blob_ids[one.number], findings=findings[one.number])
    if one.data is not None and one.blob_id is None and one.sha256 in refused:
        return replace(one, problem=_NO_ROOM)
    return one


def _said(one: _Read, shared: Shared | None) -> dict[str, Any]:
    """Return what became of an entry, as it is kept and shown."""
    shown: dict[str, Any] = {
        "number": one.number,
        "name": one.entry.name,
        "size_bytes": one.entry.size_bytes,
        "outcome": "refused",
        "file_id": None,
        "reason": one.problem,
    }
    if shared is None:
        return shown
    if not shared.is_named:
        return shown | {
            "file_id": shared.file_id,
            "reason": "this content has a hundred names in the room already",
        }
    return shown | {"outcome": OUTCOMES[shared.deduplicated], "file_id": shared.file_id}
