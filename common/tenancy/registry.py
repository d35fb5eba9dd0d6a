"""The registry of organizations: who they are, and where their data is placed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pymongo import MongoClient

from common.clock import Clock
from common.errors import Misconfigured, NotFound, Stale
from common.ids import PLATFORM, OrgId, is_id
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tenancy.control import ControlPlane, ensure_collection
from common.tenancy.scope import OrgScope
from common.tenancy.tiers import Tier

REMEMBERED_S = 5.0
REMEMBERED_MOST = 10_000


@dataclass(frozen=True)
class Placement:
    """Where an organization's data lives."""

    mode: Literal["pooled", "dedicated"]
    database: str


@dataclass(frozen=True)
class Organization:
    """An organization, as everybody here sees it."""

    org_id: OrgId
    name: str
    slug: str
    tier: Tier
    placement: Placement
    created_at: datetime

    @property
    def version(self) -> str:
        """Return what changes with every change of it, as an ETag."""
        parts = (self.org_id, self.name, self.slug, self.tier, self.placement.mode, self.placement.database)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Registry:
    """Looks organizations up, remembers them for five seconds, and routes to their database."""

    def __init__(
        self, control: ControlPlane, client: "MongoClient[Any]", databases: Sequence[str], clock: Clock
    ) -> None:
        self._organizations = control.organizations
        self._client = client
        self._databases = tuple(databases)
        self._clock = clock
        self._remembered: dict[OrgId, tuple[float, Organization]] = {}
        self._prepared: dict[str, frozenset[str]] = {}

    def get(self, org_id: OrgId, *, fresh: bool = False) -> Organization:
        """Return the organization; *fresh* as it is now, not as it was remembered. Raises `NotFound`."""
        if not is_id(org_id):
            raise NotFound("There is no such organization.")
        known = self._remembered.get(org_id)
        if known and not fresh and self._clock.monotonic() - known[0] < REMEMBERED_S:
            return known[1]
        found = self._organizations.find_one({"_id": org_id})
        if found is None:
            raise NotFound("There is no such organization.")
        organization = read_organization(found)
        if len(self._remembered) >= REMEMBERED_MOST:
            self._remembered.clear()
        self._remembered[org_id] = (self._clock.monotonic(), organization)
        return organization

    def set_tier(self, org_id: OrgId, tier: Tier, *, was: Organization) -> Organization:
        """Give it another tier. Raises `NotFound`, or `Stale` if it is no longer as *was* says."""
        same = {"_id": org_id, "tier": was.tier, "name": was.name, "slug": was.slug}
        if not self._organizations.update_one(same, {"$set": {"tier": tier}}).matched_count:
            self._remembered.pop(org_id, None)
            self.get(org_id)
            raise Stale("The organization has changed since. Read it again.")
        self._remembered.pop(org_id, None)
        return self.get(org_id)

    def search(self, words: str, *, after: str, limit: int) -> list[Organization]:
        """List up to *limit* organizations whose name or slug contains *words*, by id, from *after* on."""
        query: dict[str, Any] = {"_id": {"$gt": after}}
        if words:
            part = {"$regex": re.escape(words), "$options": "i"}
            query["$or"] = [{"name": part}, {"slug": part}]
        found = self._organizations.find(query).sort("_id", 1).limit(limit)
        return [read_organization(one) for one in found]

    def by_slug(self, slug: str) -> Organization | None:
        """Return the organization of that slug, or `None`."""
        found = self._organizations.find_one({"slug": {"$eq": slug}})
        return read_organization(found) if found else None

    def scope(self, org_id: OrgId) -> OrgScope:
        """Return the only way to that organization's data.

        Raises `NotFound`, or `Misconfigured` if its database is not one that this process was prepared for.
        """
        database = self._databases[0] if org_id == PLATFORM else self._database_of(self.get(org_id))
        return OrgScope(org_id, self._client[database], self._collections_in(database))

    def choose_database(self, org_id: OrgId) -> str:
        """Return the database for a new pooled organization: spread evenly, the same for the same id."""
        number = int.from_bytes(hashlib.sha256(org_id.encode()).digest()[:8], "big")
        return self._databases[number % len(self._databases)]

    def prepare_databases(self) -> None:
        """Make every declared collection with its indexes in every data database; safe to repeat."""
        for database in self._databases:
            for collection in TENANT_COLLECTIONS.values():
                ensure_collection(self._client[database], collection.name, collection.indexes)

    def _database_of(self, organization: Organization) -> str:
        placement = organization.placement
        if placement.mode != "pooled":
            raise Misconfigured(f"This version does not know the placement {placement.mode}.")
        if placement.database not in self._databases:
            raise Misconfigured(f"FAIRWAY_DATA_DATABASES lacks {placement.database}, which holds an organization.")
        return placement.database

    def _collections_in(self, database: str) -> frozenset[str]:
        """Name the collections that exist there; looked up once, and again for what was declared since.

        Raises `Misconfigured` if a declared one is missing: the first insert would create it, without indexes.
        """
        names = self._prepared.get(database, frozenset())
        if not names >= TENANT_COLLECTIONS.keys():
            names = frozenset(self._client[database].list_collection_names())
            missing = sorted(TENANT_COLLECTIONS.keys() - names)
            if missing:
                raise Misconfigured(f"The database {database} is not prepared; it lacks {', '.join(missing)}.")
            self._prepared[database] = names
        return names


def read_organization(document: Mapping[str, Any]) -> Organization:
    """Read MongoDB's *document*."""
    return Organization(
        org_id=OrgId(document["_id"]),
        name=document["name"],
        slug=document["slug"],
        tier=document["tier"],
        placement=Placement(**document["placement"]),
        created_at=document["created_at"],
    )
