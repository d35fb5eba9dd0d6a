"""Restores an archive into an organization without data: first all of it is verified, then written in batches.

checkpoint   none  →  {verified}  →  {member, documents} after each batch  →  {counted_to} after each eight days

People come back invited: an admin hands each a token to choose a password with. Jobs come back as a record,
without what was asked. Events and API keys stay in the archive: the first are the history of another organization,
the second would let in whoever has the old ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import bson
from pymongo import UpdateOne

from common.errors import JobFailed, NotFound
from common.files import ledger, recount
from common.ids import OrgId
from common.organizations.archive import Ids, Member, Reader, travelling
from common.organizations.import_archive import ImportArchive
from common.organizations.people import ADMINS_MOST
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tenancy.safety import Unsafe
from common.tenancy.scope import OrgScope
from common.tickets.counting import verifying
from workers.context import Context
from workers.organizations.restored_files import RestoredFiles
from workers.runner import handles

BATCH = 500
BATCH_BYTES = 512 * 1024
RESTORED_RECORDS = ("users", "jobs")
JOB_REFERENCES = ("parent_id",)


@dataclass(frozen=True)
class Imported:
    """How many documents were restored, by file of the archive."""

    documents: Mapping[str, int]


@dataclass(frozen=True)
class _State:
    member: int = 0
    documents: int = 0
    done: int = 0
    is_verified: bool = False
    counted_to: int | None = None

    def checkpoint(self) -> dict[str, Any]:
        return dict(vars(self))


@handles(ImportArchive)
def import_archive(ctx: Context, job: ImportArchive) -> Imported:
    """Restore it. Raises `JobFailed` if it is not ours, is damaged, or the organization has data already."""
    checkpoint = ctx.resume()
    state = _State(**checkpoint) if checkpoint else _State()
    with closing(_open(ctx, job)) as file:
        reader = Reader(file, ctx.services.keys)
        members = [one for one in reader.members if _is_restored(one)]
        if not state.is_verified:
            _refuse_others_data(ctx)
            _verify(ctx, reader)
            state = _State(is_verified=True)
            ctx.checkpoint(state.checkpoint())
        total = sum(one.documents for one in members)
        ids = Ids(OrgId(reader.organization["org_id"]), ctx.org_id)
        for number, member in enumerate(members):
            if number >= state.member and state.counted_to is None:
                skip = state.documents if number == state.member else 0
                state = _restore(
                    ctx, reader, member, ids, _State(number, skip, state.done, is_verified=True), total
                )
    _count_anew(ctx)
    _count_tickets(ctx, state)
    ctx.blobs.delete(job.blob_id)
    return Imported({one.name: one.documents for one in members})


def _count_anew(ctx: Context) -> None:
    """Make links and counts of files agree; may be repeated, so a death here costs nothing."""
    now = ctx.services.clock.now()
    for name, step in recount.STEPS:
        after, is_over = "", False
        while not is_over:
            after, doomed = ctx.write(partial(_counted, step, after, now))
            ledger.delete(ctx.services.scope(ctx.org_id), ctx.blobs, doomed, now)
            ctx.progress(0, None, f"counting {name}")
            is_over = not after


def _count_tickets(ctx: Context, state: _State) -> None:
    """Count the tickets, which came without their counts; what is counted is only verified again."""
    after = state.counted_to
    for octet in verifying.octets(ctx.scope, after):
        for step in verifying.steps_of(ctx.scope, octet, after, repair=True):
            ctx.write(step)
        after = octet
        ctx.checkpoint(replace(state, counted_to=after).checkpoint(), state.done, state.done, "counting tickets")
    if after is not None:
        ctx.write(verifying.last_step(after, repair=True))


def _counted(step: recount.Page, after: str, now: datetime, scope: OrgScope) -> tuple[str, list[str]]:
    return step(scope, after, now)


def _open(ctx: Context, job: ImportArchive) -> Any:
    try:
        return ctx.blobs.open(job.blob_id)
    except NotFound as error:
        raise JobFailed("The archive is no longer stored; upload it again.", code="file-gone") from error


def _is_restored(member: Member) -> bool:
    return member.name.startswith("data/") or member.name in {f"records/{name}.bson" for name in RESTORED_RECORDS}


def _refuse_others_data(ctx: Context) -> None:
    for name in travelling():
        if ctx.scope[TENANT_COLLECTIONS[name]].find_one({}) is not None:
            raise JobFailed(
                f"The organization has {name.replace('_', ' ')} already. Restore into an empty one.",
                code="organization-not-empty",
            )


def _verify(ctx: Context, reader: Reader) -> None:
    total = sum(one.size_bytes for one in reader.members)
    done = 0
    for member in reader.members:
        for size_bytes in reader.verify(member):
            done += size_bytes
            ctx.progress(0, None, f"verifying {done * 100 // max(1, total)} %")


def _restore(  # noqa: PLR0917 (the parts of one restoring)
    ctx: Context, reader: Reader, member: Member, ids: Ids, state: _State, total: int
) -> _State:
    """Write what is left of a file; return the state after it."""
    collection = TENANT_COLLECTIONS.get(member.name.removeprefix("data/").removesuffix(".bson"))
    if collection is not None and collection.blob is not None:
        restored = RestoredFiles(ctx, ids, collection, collection.blob)
        return _restore_files(ctx, reader, member, restored, state, total)
    for batch in _in_batches(reader.documents(member, state.documents)):
        state = _State(state.member, state.documents + len(batch), state.done + len(batch), is_verified=True)
        _write(ctx, member, batch, ids, state)
        ctx.progress(state.done, total, member.name)
    return _State(state.member + 1, 0, state.done, is_verified=True)


def _in_batches(documents: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Cut *documents* into what one transaction takes: each different word in them is an entry of an index."""
    batch: list[Mapping[str, Any]] = []
    size_bytes = 0
    for one in documents:
        batch.append(one)
        size_bytes += len(bson.encode(one))
        if len(batch) >= BATCH or size_bytes >= BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _restore_files(  # noqa: PLR0917 (as above)
    ctx: Context, reader: Reader, member: Member, restored: RestoredFiles, state: _State, total: int
) -> _State:
    """Store what is left of a file's stored files, and write their documents a batch at a time."""
    for document, content in reader.files(member, state.documents):
        restored.store(document, content)
        if restored.is_due:
            state = _write_files(ctx, member, restored, state, total)
    state = _write_files(ctx, member, restored, state, total)
    return _State(state.member + 1, 0, state.done, is_verified=True)


def _write_files(ctx: Context, member: Member, restored: RestoredFiles, state: _State, total: int) -> _State:
    count = restored.waiting
    after = _State(state.member, state.documents + count, state.done + count, is_verified=True)
    restored.write(after.checkpoint())
    ctx.progress(after.done, total, member.name)
    return after


def _write(ctx: Context, member: Member, batch: Sequence[Mapping[str, Any]], ids: Ids, state: _State) -> None:
    folder, name = member.name.removesuffix(".bson").split("/")
    if folder == "records":
        rows = _people(ctx, batch, ids) if name == "users" else _jobs(ctx, batch, ids)
        _insert_absent(ctx, name, rows)
        ctx.checkpoint(state.checkpoint())
        return
    collection = TENANT_COLLECTIONS.get(name)
    if collection is None:
        raise JobFailed(f"This version knows no {name}.", code="archive-unreadable")
    documents = [ids.renamed(one, collection.references) for one in batch]
    try:
        ctx.write(lambda scope: scope[collection].insert_many(documents), checkpoint=state.checkpoint())
    except Unsafe as error:
        raise JobFailed(f"{name} holds what can't be stored.", code="archive-unreadable") from error


def _insert_absent(ctx: Context, name: str, rows: Iterator[dict[str, Any]]) -> None:
    """Insert those that are not there yet: a run before may have been cut off between this and its checkpoint."""
    updates = [UpdateOne({"_id": one["_id"]}, {"$setOnInsert": one}, upsert=True) for one in rows]
    if updates:
        ctx.write_control(
            lambda control, session: getattr(control, name).bulk_write(updates, ordered=False, session=session)
        )


def _people(ctx: Context, batch: Sequence[Mapping[str, Any]], ids: Ids) -> Iterator[dict[str, Any]]:
    users = ctx.services.control.users
    emails = {"org_id": ctx.org_id, "email": {"$in": [one["email"] for one in batch]}}
    known = {one["email"] for one in users.find(emails, {"email": 1})}
    admins = users.count_documents({"org_id": ctx.org_id, "role": "admin"})
    for one in batch:
        if one["email"] in known:
            continue
        role = one["role"] if one["role"] == "member" or admins < ADMINS_MOST else "member"
        admins += role == "admin"
        fresh = {"role": role, "state": "invited", "password_hash": None, "epoch": 0, "revision": 0}
        yield {**ids.renamed(one, ()), **fresh, "org_id": ctx.org_id}


def _jobs(ctx: Context, batch: Sequence[Mapping[str, Any]], ids: Ids) -> Iterator[dict[str, Any]]:
    for one in batch:
        yield {**ids.renamed(one, JOB_REFERENCES), "org_id": ctx.org_id, "payload": {}}
