"""The archives that an organization has made of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.client_session import ClientSession

from common.errors import NotFound
from common.ids import OrgId
from common.storage.blob_store import BlobStore
from common.tenancy.control import ControlPlane

ABSENT = "There is no such archive."
ARCHIVES_MOST = 20
"""Archives that an organization keeps; an export beyond them fails and says so."""


@dataclass(frozen=True)
class Archive:
    """A stored archive."""

    archive_id: str
    blob_id: str
    size_bytes: int
    sha256: str
    documents: int
    created_at: datetime


class Archives:
    """The archives of all organizations, each asked for with its organization."""

    def __init__(self, control: ControlPlane, blobs: BlobStore) -> None:
        self._archives = control.archives
        self._blobs = blobs

    def get(self, org_id: OrgId, archive_id: str) -> Archive:
        """Return an archive. Raises `NotFound`, also for another organization's."""
        found = self._archives.find_one({"_id": {"$eq": archive_id}, "org_id": {"$eq": org_id}})
        if found is None:
            raise NotFound(ABSENT)
        return _read(found)

    def page(self, org_id: OrgId, *, before: str | None, limit: int) -> list[Archive]:
        """List up to *limit* archives, the newest first."""
        where: dict[str, Any] = {"org_id": {"$eq": org_id}}
        if before is not None:
            where["_id"] = {"$lt": before}
        return [_read(one) for one in self._archives.find(where).sort("_id", -1).limit(limit)]

    def is_full(self, org_id: OrgId, session: ClientSession | None = None) -> bool:
        """Tell whether the organization keeps as many archives as may be."""
        mine = {"org_id": {"$eq": org_id}}
        return self._archives.count_documents(mine, limit=ARCHIVES_MOST, session=session) >= ARCHIVES_MOST

    def delete(self, org_id: OrgId, archive_id: str) -> None:
        """Delete an archive with its bytes. Raises `NotFound`."""
        archive = self.get(org_id, archive_id)
        self._blobs.delete(archive.blob_id)
        self._archives.delete_one({"_id": archive_id, "org_id": org_id})


def _read(document: Mapping[str, Any]) -> Archive:
    return Archive(
        archive_id=document["_id"],
        blob_id=document["blob_id"],
        size_bytes=document["size_bytes"],
        sha256=document["sha256"],
        documents=document["documents"],
        created_at=document["created_at"],
    )
