"""Writes an organization's archive, streamed: a run that is cut off leaves nothing, and the next begins anew.

Each collection is read in the order of its ids while others may write: a document that changes meanwhile goes
along as it was before or after, and is never torn.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from pymongo.client_session import ClientSession

from common.clock import rfc3339
from common.errors import JobFailed, NotFound
from common.events import append
from common.files import ledger
from common.jobs.record import FINAL
from common.organizations.archive import FORMAT, ORGANIZATION, RECORDS, Writer, travelling
from common.organizations.archives import ARCHIVES_MOST
from common.organizations.export import ExportOrganization
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tenancy.control import ControlPlane
from workers.context import Context
from workers.loose_bytes import noted
from workers.runner import handles

ARCHIVE_MAX_BYTES = 1024**4


@dataclass(frozen=True)
class Exported:
    """The archive, and where it is."""

    archive_id: str
    size_bytes: int
    sha256: str
    documents: int
    links: Mapping[str, str]


@handles(ExportOrganization)
def export(ctx: Context, job: ExportOrganization) -> Exported:
    """Write the archive, store it, and note it: the job's id is the archive's."""
    del job
    known = ctx.services.control.archives.find_one({"_id": ctx.job_id})
    if known is None and ctx.services.archives.is_full(ctx.org_id):
        raise _too_many()
    if known is None:
        writer = Writer(ctx.services.keys)
        count: list[int] = []
        blob_id = noted(ctx)
        blob = ctx.blobs.save(_pieces(ctx, writer, count), max_bytes=ARCHIVE_MAX_BYTES, blob_id=blob_id)
        known = {
            "_id": ctx.job_id,
            "org_id": ctx.org_id,
            "blob_id": blob.id,
            "size_bytes": blob.size_bytes,
            "sha256": blob.sha256,
            "documents": count[0],
            "created_at": ctx.services.clock.now(),
        }
        ctx.write_control(lambda control, session: _keep(ctx, control, session, known))
    _let_go(ctx, known["blob_id"])
    content = f"/v1/archives/{ctx.job_id}/content"
    return Exported(ctx.job_id, known["size_bytes"], known["sha256"], known["documents"], {"content": content})


def _let_go(ctx: Context, blob_id: str) -> None:
    """Take the archive's bytes out of the ledger, where they still are: from now on the archive has them."""
    if any(one.blob_id == blob_id for one in ledger.of_job(ctx.scope, ctx.job_id)):
        now = ctx.services.clock.now()
        ctx.write(lambda scope: ledger.settle_one(scope, ctx.job_id, blob_id, now))


def _keep(ctx: Context, control: ControlPlane, session: ClientSession, archive: Mapping[str, Any]) -> None:
    """Note the archive with its event, whose counter lets no two count the others at once."""
    said = {"archive_id": ctx.job_id, "sha256": archive["sha256"]}
    actor = ctx.claimed.submitted_by
    append(control, session, ctx.services.clock, ctx.org_id, "OrganizationExported", actor=actor, data=said)
    if ctx.services.archives.is_full(ctx.org_id, session):
        raise _too_many()
    control.archives.insert_one(archive, session=session)


def _too_many() -> JobFailed:
    """Return the failure of an export beyond the archives that are kept."""
    return JobFailed(f"{ARCHIVES_MOST} archives are kept. Delete one first.", code="too-many-archives")


def _pieces(ctx: Context, writer: Writer, count: list[int]) -> Iterator[bytes]:
    """Go through the archive's bytes as they are made; leave in *count* how many documents it has."""
    organization = ctx.services.registry.get(ctx.org_id, fresh=True)
    writer.add_json(
        ORGANIZATION,
        {
            "format": FORMAT,
            "org_id": organization.org_id,
            "name": organization.name,
            "slug": organization.slug,
            "tier": organization.tier,
            "settings": dict(organization.settings),
            "exported_at": rfc3339(ctx.services.clock.now()),
        },
    )
    sources, done, total = _sources(ctx), 0, _total(ctx)
    for name, documents in sources:
        written = 0
        for written in _written(ctx, writer, name, documents):
            ctx.progress(done + written, max(total, done + written), name)
            yield writer.take()
        done += written
    count.append(writer.close() - 1)  # without the organization itself
    yield writer.take()


def _written(ctx: Context, writer: Writer, name: str, documents: Iterator[Mapping[str, Any]]) -> Iterator[int]:
    collection = TENANT_COLLECTIONS.get(name.removeprefix("data/").removesuffix(".bson"))
    if not name.startswith("data/") or collection is None or collection.blob is None:
        return writer.add_documents(name, documents)
    return writer.add_files(name, _with_bytes(ctx, documents, collection.blob))


def _with_bytes(
    ctx: Context, documents: Iterator[Mapping[str, Any]], field: str
) -> Iterator[tuple[Mapping[str, Any], BinaryIO]]:
    for one in documents:
        try:
            content = ctx.blobs.open(one[field])
            content.read(1)  # a store far away tells only now whether it has it
            content.seek(0)
        except NotFound:  # it was removed since it was listed
            continue
        with content:
            yield one, content


def _sources(ctx: Context) -> Iterator[tuple[str, Iterator[Mapping[str, Any]]]]:
    for name in travelling():
        yield f"data/{name}.bson", ctx.scope[TENANT_COLLECTIONS[name]].find({}, sort=[("_id", 1)])
    for name, without in RECORDS.items():
        found = getattr(ctx.services.control, name).find(_mine(ctx, name), dict(without) or None).sort("_id", 1)
        yield f"records/{name}.bson", iter(found)


def _total(ctx: Context) -> int:
    counts = [ctx.scope[TENANT_COLLECTIONS[name]].count_documents({}) for name in travelling()]
    counts += [getattr(ctx.services.control, name).count_documents(_mine(ctx, name)) for name in RECORDS]
    return sum(counts)


def _mine(ctx: Context, name: str) -> dict[str, Any]:
    mine: dict[str, Any] = {"org_id": ctx.org_id}
    return {**mine, "state": {"$in": sorted(FINAL)}} if name == "jobs" else mine
