"""How an upload is imported: verified, examined and linked into its room; a zip, group by group of its entries.

a file     verify ─▶ examine ─▶ link, in one transaction with the checkpoint
a zip      verify ─▶ list ─▶ {groups} ─▶ children, a group each ─▶ {spawned_in} ─▶ count what became of all

Wherever a run dies, the next finds in the checkpoint what is done. What was uploaded stays until that is all.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

from common.errors import JobFailed, NotFound, WaitForChildren
from common.files import ledger
from common.files.collections import IMPORT_GROUPS
from common.files.findings import Findings
from common.files.import_entries import ImportEntries
from common.files.import_upload import ImportUpload
from common.files.sharing import Content, Shared, share
from common.ids import new_id
from common.tenancy.scope import OrgScope
from workers.context import Context
from workers.files.examining.kept import KEPT
from workers.files.storing import deed, drop, giving_up, room_must_be_there, until_settled
from workers.files.zip_entries import ZipEntry, list_entries
from workers.runner import handles

CHUNK_BYTES = 1024 * 1024
GROUP_ENTRIES = 100
GROUP_BYTES = 64 * 1024 * 1024
GROUPS_A_WRITE, GROUPS_A_STEP = 20, 500
KEPT_FOR = timedelta(days=100)
"""How long what became of an archive's entries stays readable; longer than its job."""
ZIP = "application/zip"
ENTRIES_LEFT = "entries-left"
_OF_DOCUMENTS = frozenset({"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF", "AndroidManifest.xml"})


@dataclass(frozen=True)
class Imported:
    """What came of an upload: *files* is the sum of the others. A single file is named by *file_id*."""

    files: int
    new: int
    deduplicated: int
    refused: int
    file_id: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@handles(ImportUpload)
def import_upload(ctx: Context, job: ImportUpload) -> Imported:
    """Import it, once, wherever an earlier run of the job was cut off.

    Raises `JobFailed` if the bytes or the room are gone, or a zip can't be unpacked as it is; its upload is given
    up then, unless a retry can go on with it.
    """
    with giving_up(ctx, unless={ENTRIES_LEFT}):
        return _import(ctx, job, ctx.resume() or {})


def _import(ctx: Context, job: ImportUpload, state: Mapping[str, Any]) -> Imported:
    if "result" in state:
        return _finished(ctx, job, state)
    room_must_be_there(ctx, job.room_id)
    if "groups" not in state:
        with closing(_open(ctx, job)) as file:
            _verify(ctx, job, file)
            findings = _examine(ctx, job, file)
            entries = list_entries(file, job.size_bytes) if job.unpack and findings.media_type == ZIP else None
            if entries is None or _is_one_document(entries):
                return _link(ctx, job, findings)
            state = _list(ctx, entries)
    if state.get("spawned_in") != ctx.claimed.run:
        _spawn(ctx, job, int(state["groups"]))
        ctx.checkpoint({**state, "spawned_in": ctx.claimed.run})
        raise WaitForChildren
    return _close(ctx, job, state)


def _open(ctx: Context, job: ImportUpload) -> BinaryIO:
    try:
        return ctx.blobs.open(job.blob_id)
    except NotFound as error:
        raise JobFailed("The file is no longer stored; upload it again.", code="file-gone") from error


def _verify(ctx: Context, job: ImportUpload, file: BinaryIO) -> None:
    """Read what is stored once more: it must be what came in."""
    digest, done = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        done += len(chunk)
        ctx.progress(0, None, f"verifying {done * 100 // max(1, job.size_bytes)} %")
    if (done, digest.hexdigest()) != (job.size_bytes, job.sha256):
        raise JobFailed(
            "What is stored is not what was sent; send the file again.",
            code="file-damaged",
        )


def _examine(ctx: Context, job: ImportUpload, file: BinaryIO) -> Findings:
    file.seek(0)
    return KEPT.lend(ctx.org_id).examine(file, job.size_bytes)


def _link(ctx: Context, job: ImportUpload, findings: Findings) -> Imported:
    content = Content(job.filename, job.sha256, job.size_bytes, job.blob_id, findings)

    def work(scope: OrgScope) -> Shared:
        (shared,) = share(scope, job.room_id, [content], deed(ctx)).shared
        if not shared.is_named:
            raise JobFailed("This content has a hundred names in the room already.", code="too-many-names")
        return shared

    def attempt() -> Shared:
        # The result stands in the checkpoint, so that whoever takes over from here on has only to say it.
        return ctx.write(work, checkpoint=_state_after)

    shared = until_settled(attempt)
    return _finished(ctx, job, _state_after(shared))


def _state_after(shared: Shared) -> dict[str, Any]:
    return {"result": {"file_id": shared.file_id, "deduplicated": shared.deduplicated}}


def _finished(ctx: Context, job: ImportUpload, state: Mapping[str, Any]) -> Imported:
    result = state["result"]
    if result["deduplicated"]:
        drop(ctx, [job.blob_id])
    ctx.services.storage.tell(ctx.org_id)
    here = f"/v1/files/{result['file_id']}"
    known = int(result["deduplicated"])
    ctx.progress(1, 1, "imported")
    return Imported(1, 1 - known, known, 0, result["file_id"], {"file": here, "content": f"{here}/content"})


def _is_one_document(entries: Sequence[ZipEntry]) -> bool:
    """Tell whether the zip only wraps a document or a program, too large to be examined for what it is."""
    return any(one.name in _OF_DOCUMENTS for one in entries)


def _list(ctx: Context, entries: Sequence[ZipEntry]) -> dict[str, Any]:
    """Write the archive's entries down in groups; the checkpoint after the last one says how many there are."""
    groups = in_groups(entries)
    state = {"groups": len(groups), "entries": sum(map(len, groups))}
    until = ctx.services.clock.now() + KEPT_FOR
    ctx.write(lambda scope: scope[IMPORT_GROUPS].delete_many({"job_id": ctx.job_id}))
    documents = _documents(ctx.job_id, groups, until)
    while page := list(islice(documents, GROUPS_A_WRITE)):
        ctx.write(partial(_insert, page))
    ctx.checkpoint(state, 0, state["entries"], "unpacking")
    return state


def _insert(page: Sequence[Mapping[str, Any]], scope: OrgScope) -> None:
    scope[IMPORT_GROUPS].insert_many(page)


def in_groups(entries: Sequence[ZipEntry]) -> list[list[ZipEntry]]:
    """Cut *entries* into groups that are bounded in number and in bytes."""
    groups: list[list[ZipEntry]] = []
    size_bytes = 0
    for one in entries:
        if not groups or len(groups[-1]) >= GROUP_ENTRIES or size_bytes + one.size_bytes > GROUP_BYTES:
            groups.append([])
            size_bytes = 0
        groups[-1].append(one)
        size_bytes += one.size_bytes
    return groups


def _documents(job_id: str, groups: Sequence[Sequence[ZipEntry]], until: datetime) -> Iterator[dict[str, Any]]:
    """Go through the documents of *groups*; entries are numbered through all of them."""
    number = 0
    for at, group in enumerate(groups):
        entries = [{**one.document(), "number": number + place} for place, one in enumerate(group)]
        number += len(group)
        yield {
            "_id": new_id(),
            "job_id": job_id,
            "number": at,
            "state": "listed",
            "size": len(group),
            "entries": entries,
            "expires_at": until,
        }


def _spawn(ctx: Context, job: ImportUpload, groups: int) -> None:
    """Make a child for each group that is not done; a retry of the job makes new ones for what is left."""
    left = {"job_id": ctx.job_id, "state": "listed"}
    open_ones = sorted(one["number"] for one in ctx.scope[IMPORT_GROUPS].find(left, projection={"number": 1}))
    for start in range(0, groups, GROUPS_A_STEP):
        jobs = [
            ImportEntries(room_id=job.room_id, import_id=ctx.job_id, blob_id=job.blob_id, group=number)
            for number in open_ones
            if start <= number < start + GROUPS_A_STEP
        ]
        ctx.spawn(f"run {ctx.claimed.run}, groups from {start}", jobs)


def _close(ctx: Context, job: ImportUpload, state: Mapping[str, Any]) -> Imported:
    """Count what became of all entries, and let the archive go."""
    counts = {"new": 0, "deduplicated": 0, "refused": 0}
    mine = {"job_id": ctx.job_id, "state": "done"}
    for one in ctx.scope[IMPORT_GROUPS].find(mine, projection={"counts": 1}):
        for name in counts:
            counts[name] += one["counts"][name]
    files = sum(counts.values())
    if files < state["entries"]:
        raise JobFailed(
            f"{state['entries'] - files} of {state['entries']} entries could not be imported; see the children of"
            " this job. Retry it to go on with them.",
            code=ENTRIES_LEFT,
        )
    now = ctx.services.clock.now()
    ctx.write(lambda scope: ledger.settle(scope, kept=(), unneeded=[job.blob_id], now=now))
    drop(ctx, [job.blob_id])
    ctx.services.storage.tell(ctx.org_id)
    ctx.progress(files, files, "unpacked")
    entries = f"/v1/files/imports/{ctx.job_id}/entries"
    return Imported(files, counts["new"], counts["deduplicated"], counts["refused"], None, {"entries": entries})
