"""The registry of organizations: who they are, and where their data is placed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pymongo import MongoClient

from common.clock import rfc3339
from common.errors import Misconfigured, NotFound, Stale
from common.ids import PLATFORM, OrgId, is_id
from common.tenancy.cache import Versioned
from common.tenancy.changes import Change
from common.tenancy.collections import TENANT_COLLECTIONS, TenantCollection
from common.tenancy.control import ControlPlane, ensure_collection
from common.tenancy.remembered import Remembered
from common.tenancy.scope import OrgScope
from common.tenancy.tiers import Tier

State = Literal["active", "deleted", "purging"]
ABSENT = "There is no such organization."


@dataclass(frozen=True)
class Placement:
    """Where an organization's data lives."""

    mode: Literal["pooled", "dedicated"]
    database: str

    def document(self) -> dict[str, str]:
        """Return it as MongoDB keeps it."""
        return {"mode": self.mode, "database": self.database}


@dataclass(frozen=True)
class Organization:
    """An organization, as everybody here sees it; *revision* rises with each change of it."""

    org_id: OrgId
    name: str
    slug: str
    tier: Tier
    placement: Placement
    created_at: datetime
    state: State = "active"
    settings: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0

    @property
    def version(self) -> str:
        """Return what changes with every change of it, as an ETag."""
        return f"{self.org_id}-{self.revision}"

    @property
    def is_active(self) -> bool:
        """Tell whether its people may come in and its jobs may run."""
        return self.state == "active"


class Registry:
    """Looks organizations up, remembers them, and routes to their database."""

    def __init__(
        self, control: ControlPlane, client: "MongoClient[Any]", databases: Sequence[str], remembered: Remembered
    ) -> None:
        self._organizations = control.organizations
        self._client = client
        self._databases = tuple(databases)
        self._remembered = remembered
        self._prepared: dict[tuple[str, str], int] = {}

    def get(self, org_id: OrgId, *, fresh: bool = False) -> Organization:
        """Return the organization, also a deleted one; *fresh* as it is now. Raises `NotFound`."""
        if not is_id(org_id):
            raise NotFound(ABSENT)
        key = key_of(org_id)
        found = self._remembered.get(key, lambda: self._load(org_id), read_organization, fresh=fresh)
        if found is None:
            raise NotFound(ABSENT)
        return found

    def state_of(self, org_id: OrgId) -> State | Literal["purged"]:
        """Return the state of an organization as it is now; of one that is gone, that it was purged."""
        try:
            return self.get(org_id, fresh=True).state
        except NotFound:
            return "purged"

    def change(
        self, change: Change, was: Organization, fields: Mapping[str, Any], *, unset: Sequence[str] = ()
    ) -> None:
        """Give the organization *fields*, in the transaction of *change*. Raises `Stale` if it differs now."""
        same = {"_id": was.org_id, "revision": {"$in": [was.revision or None, was.revision]}}
        update = {"$set": {**fields, "revision": was.revision + 1}, "$unset": dict.fromkeys(unset, "")}
        if not self._organizations.update_one(same, update, session=change.session).matched_count:
            if self._organizations.find_one({"_id": was.org_id}, {"_id": 1}, session=change.session) is None:
                raise NotFound(ABSENT)
            raise Stale("The organization has changed since you read it. Read it again.")
        change.note(key_of(was.org_id), was.revision + 1)

    def search(self, words: str, *, after: str, limit: int) -> list[Organization]:
        """List up to *limit* organizations whose name or slug contains *words*, by id, from *after* on."""
        query: dict[str, Any] = {"_id": {"$gt": after}, "state": {"$ne": "purged"}}
        if words:
            part = {"$regex": re.escape(words), "$options": "i"}
            query["$or"] = [{"name": part}, {"slug": part}]
        found = self._organizations.find(query).sort("_id", 1).limit(limit)
        return [read_organization(plain(one)) for one in found]

    def by_slug(self, slug: str) -> Organization | None:
        """Return the organization of that slug, also a deleted one, or `None`."""
        found = self._organizations.find_one({"slug": {"$eq": slug}})
        return read_organization(plain(found)) if found else None

    def scope(self, org_id: OrgId) -> OrgScope:
        """Return the only way to that organization's data.

        Raises `NotFound`, or `Misconfigured` if its database is not one that this process was prepared for.
        """
        if org_id == PLATFORM:
            return self._scope(org_id, Placement("pooled", self._databases[0]))
        return self._scope(org_id, self.get(org_id).placement)

    def pooled(self, org_id: OrgId) -> Placement:
        """Return the place of a new pooled organization: spread evenly, the same for the same id."""
        number = int.from_bytes(hashlib.sha256(org_id.encode()).digest()[:8], "big")
        return Placement("pooled", self._databases[number % len(self._databases)])

    def prepare(self, org_id: OrgId, placement: Placement) -> None:
        """Make the collections that a dedicated organization has of its own, with indexes; safe to repeat."""
        if self._known(placement).mode == "pooled":
            return
        for collection in TENANT_COLLECTIONS.values():
            name = name_of(collection.name, org_id, placement)
            ensure_collection(self._client[placement.database], name, collection.indexes)

    def with_due(self, collection: TenantCollection, field: str, now: datetime, most: int) -> list[OrgId]:
        """Name organizations with documents whose *field* is at or before *now*; nothing else of them is told.

        Looks at up to *most* documents of each database, those first that are due longest, and at each dedicated
        organization.
        """
        due, whose = {field: {"$lte": now}}, {"org_id": 1}
        found: dict[OrgId, None] = {}
        for database in self._databases:
            pooled = self._client[database][collection.name]
            these: list[dict[str, Any]] = [{"$match": due}, {"$sort": {field: 1}}, {"$limit": most}]
            found |= dict.fromkeys(
                one["_id"] for one in pooled.aggregate([*these, {"$group": {"_id": "$org_id"}}])
            )
        for one in self._organizations.find({"placement.mode": "dedicated"}, {"placement": 1}):
            placement = Placement(**one["placement"])
            if placement.database in self._databases:
                own = self._client[placement.database][name_of(collection.name, one["_id"], placement)]
                if own.find_one(due, whose) is not None:
                    found[OrgId(one["_id"])] = None
        return list(found)

    def remove_rows(self, org_id: OrgId, collection: TenantCollection, most: int) -> int:
        """Remove up to *most* documents of an organization; return how many there were."""
        placement = self.get(org_id, fresh=True).placement
        if placement.mode == "dedicated":
            return 0  # its collections are dropped
        rows = self._client[placement.database][name_of(collection.name, org_id, placement)]
        page = [one["_id"] for one in rows.find({"org_id": org_id}, {"_id": 1}).limit(most)]
        return rows.delete_many({"org_id": org_id, "_id": {"$in": page}}).deleted_count if page else 0

    def drop_dedicated(self, org_id: OrgId) -> int:
        """Drop the collections of a dedicated organization, if it has some left; return 0."""
        placement = self.get(org_id, fresh=True).placement
        if placement.mode == "dedicated":
            database = self._client[placement.database]
            for name in TENANT_COLLECTIONS:
                database.drop_collection(name_of(name, org_id, placement))
        return 0

    def prepare_databases(self) -> None:
        """Make every declared collection with its indexes in every data database; safe to repeat."""
        for database in self._databases:
            for collection in TENANT_COLLECTIONS.values():
                ensure_collection(self._client[database], collection.name, collection.indexes)

    def _scope(self, org_id: OrgId, placement: Placement) -> OrgScope:
        self._known(placement)
        database = self._client[placement.database]
        own = {name: name_of(name, org_id, placement) for name in TENANT_COLLECTIONS}
        self._must_exist(placement, org_id, own)
        return OrgScope(org_id, database, own)

    def _known(self, placement: Placement) -> Placement:
        if placement.mode not in {"pooled", "dedicated"}:
            raise Misconfigured(f"This version does not know the placement {placement.mode}.")
        if placement.database not in self._databases:
            raise Misconfigured(f"FAIRWAY_DATA_DATABASES lacks {placement.database}, which holds an organization.")
        return placement

    def _must_exist(self, placement: Placement, org_id: OrgId, own: Mapping[str, str]) -> None:
        """Look whether all collections are there: once, and again for what was declared since.

        Raises `Misconfigured` for one that is missing: the first insert would create it, without indexes.
        """
        where = (placement.database, org_id if placement.mode == "dedicated" else "")
        if self._prepared.get(where) == len(own):
            return
        names = frozenset(self._client[placement.database].list_collection_names())
        missing = sorted(set(own.values()) - names)
        if missing:
            raise Misconfigured(
                f"The database {placement.database} is not prepared; it lacks {', '.join(missing)}."
            )
        self._prepared[where] = len(own)

    def _load(self, org_id: OrgId) -> Versioned | None:
        found = self._organizations.find_one({"_id": org_id, "state": {"$ne": "purged"}})
        return Versioned(found.get("revision", 0), plain(found)) if found is not None else None


def name_of(collection: str, org_id: OrgId, placement: Placement) -> str:
    """Return what a collection is called there: a dedicated one bears the organization's id, never its slug."""
    return f"{collection}.{org_id}" if placement.mode == "dedicated" else collection


def key_of(org_id: OrgId) -> str:
    """Return the key under which changes of that organization are noted."""
    return f"organization:{org_id}"


def read_organization(plain: Mapping[str, Any]) -> Organization:
    """Read an organization from its plain JSON."""
    return Organization(
        org_id=OrgId(plain["_id"]),
        name=plain["name"],
        slug=plain["slug"],
        tier=plain["tier"],
        placement=Placement(**plain["placement"]),
        created_at=datetime.fromisoformat(plain["created_at"]),
        state=plain.get("state", "active"),
        settings=plain.get("settings", {}),
        revision=plain.get("revision", 0),
    )


def plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what MongoDB keeps of an organization as the plain JSON that is remembered."""
    shown = {name: document[name] for name in _SHOWN if name in document}
    return {**shown, "created_at": rfc3339(document["created_at"])}


_SHOWN = ("_id", "name", "slug", "tier", "placement", "state", "settings", "revision")
