"""Files that come back from an archive: their bytes are stored first, then a batch of documents is written."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.errors import JobFailed
from common.files import ledger, quota
from common.files.ledger import LEASE, Loose
from common.files.quota import OverQuota
from common.ids import OrgId
from common.organizations.archive import Ids
from common.tenancy.collections import TenantCollection
from common.tenancy.scope import OrgScope
from workers.context import Context

BATCH = 200
BATCH_BYTES = 64 * 1024 * 1024


class RestoredFiles:
    """The batch of documents whose bytes are stored and that are not written yet.

    A blob's new id is made of its old one and of this run of the job, so that whoever takes over stores the same
    again, and what was given up with an earlier run is not met. The ledger knows it from before its first byte.
    """

    def __init__(self, ctx: Context, ids: Ids, collection: TenantCollection, field: str) -> None:
        self._ctx = ctx
        self._ids = ids
        self._collection = collection
        self._field = field
        self._blob_ids = Ids(ids.was, OrgId(f"{ctx.job_id}:{ctx.claimed.run}"))
        self._scope = ctx.services.scope(ctx.org_id)
        self._noted = {one.blob_id for one in ledger.of_job(self._scope, ctx.job_id)}
        self._batch: list[dict[str, Any]] = []
        self._size_bytes = 0

    @property
    def waiting(self) -> int:
        """Return how many documents wait to be written."""
        return len(self._batch)

    @property
    def is_due(self) -> bool:
        """Tell whether the batch is full."""
        return len(self._batch) >= BATCH or self._size_bytes >= BATCH_BYTES

    def store(self, document: Mapping[str, Any], content: Iterable[bytes]) -> None:
        """Store the bytes of *document*, and keep it for the batch. Raises `JobFailed` for other bytes."""
        renamed = self._ids.renamed(document, self._collection.references)
        renamed[self._field] = self._blob_ids.of(document[self._field])
        blob_id, size_bytes = renamed[self._field], renamed["size_bytes"]
        self._note(blob_id, size_bytes)
        blob = self._ctx.blobs.save(content, max_bytes=size_bytes, blob_id=blob_id)
        if (blob.size_bytes, blob.sha256) != (size_bytes, renamed["sha256"]):
            raise JobFailed("The archive holds other bytes than it says.", code="archive-unreadable")
        self._batch.append(renamed)
        self._size_bytes += size_bytes
        self._ctx.stop_if_asked()

    def write(self, checkpoint: Mapping[str, Any]) -> None:
        """Write the batch with *checkpoint*, in one transaction with the ledger and the quota."""
        batch, now = self._batch, self._ctx.services.clock.now()

        def work(scope: OrgScope) -> None:
            ledger.settle(scope, kept=[one[self._field] for one in batch], unneeded=(), now=now)
            quota.move(scope, stored_bytes=self._size_bytes, files=len(batch))
            if batch:
                scope[self._collection].insert_many(batch)

        self._ctx.write(work, checkpoint=checkpoint)
        self._batch, self._size_bytes = [], 0

    def _note(self, blob_id: str, size_bytes: int) -> None:
        if blob_id in self._noted:
            return
        until = self._ctx.services.clock.now() + LEASE
        loose = Loose(blob_id, "writing", self._ctx.job_id, size_bytes, until)
        try:
            ledger.note(self._scope, loose, self._ctx.services.storage.limit_of(self._ctx.org_id))
        except OverQuota as error:
            raise JobFailed(error.detail, code="over-quota") from error
        self._noted.add(blob_id)
