"""Removes an organization for good: files, data, people, jobs, and last itself, leaving that it was.

From its first step on there is no way back, so that a step may be repeated by whoever takes over.
"""

from collections.abc import Callable
from dataclasses import dataclass

from common.files import ledger
from common.files.collections import LOOSE_BLOBS
from common.ids import OrgId
from common.organizations import purging
from common.organizations.purge import PurgeOrganization
from common.tenancy.collections import TENANT_COLLECTIONS, TenantCollection
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Purged:
    """Whether it was removed: not if it was restored meanwhile."""

    purged: bool


@handles(PurgeOrganization)
def purge(ctx: Context, job: PurgeOrganization) -> Purged:
    """Remove it, one kind of thing after the other, a batch at a time."""
    services, org_id = ctx.services, OrgId(job.of_org)
    steps = _steps(ctx, org_id)
    done = int((ctx.resume() or {"done": 0})["done"])
    if not done and not purging.begin(ctx.write_control, services.changes, org_id, job.deletion_id):
        return Purged(purged=False)
    for number, (name, remove) in enumerate(steps):
        if number < done:
            continue
        while remove():
            ctx.progress(number, len(steps), name)
        ctx.checkpoint({"done": number + 1}, number + 1, len(steps), name)
    purging.bury(services.control, services.changes, org_id, services.clock)
    return Purged(purged=True)


def _remove_with_bytes(ctx: Context, org_id: OrgId, collection: TenantCollection) -> int:
    """Remove a batch of documents that have stored files, and before each its file."""
    documents = ctx.services.scope(org_id)[collection]
    page = list(documents.find({}, limit=purging.BATCH))
    for one in page:
        for blob_id in ledger.blobs_in(one) if collection is LOOSE_BLOBS else [one[collection.blob or ""]]:
            ctx.blobs.delete(blob_id)
    return documents.delete_many({"_id": {"$in": [one["_id"] for one in page]}}) if page else 0


def _steps(ctx: Context, org_id: OrgId) -> list[tuple[str, Callable[[], int]]]:
    """Return what is removed, in its order; each call removes a batch and returns how many there were."""
    services = ctx.services
    data = [
        (name, lambda name=name: services.registry.remove_rows(org_id, TENANT_COLLECTIONS[name], purging.BATCH))
        for name in sorted(TENANT_COLLECTIONS)
    ]
    bytes_first = [
        (f"bytes of {name}", lambda one=one: _remove_with_bytes(ctx, org_id, one))
        for name, one in sorted(TENANT_COLLECTIONS.items())
        if one.blob is not None
    ]
    return [
        *bytes_first,
        ("files", lambda: purging.remove_files(services.control, ctx.blobs, org_id)),
        *data,
        ("collections", lambda: services.registry.drop_dedicated(org_id)),
        *(
            (name, lambda name=name: purging.remove_rows(services.control, name, org_id))
            for name in purging.CONTROL_COLLECTIONS
        ),
    ]
