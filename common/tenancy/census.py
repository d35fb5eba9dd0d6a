"""Sums over all tenants' data, for the platform: batch by batch, and never more of anybody's data than a number.

Pooled organizations are asked some hundreds at a time, each database for itself, dedicated ones one by one; by
secondaries where there are any, and what belongs together as of one moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient, ReadPreference
from pymongo.client_session import ClientSession

from common.ids import OrgId
from common.tenancy.collections import TenantCollection
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement, name_of

BATCH = 500
WITHIN_MS = 60_000
_FIRST = ""


@dataclass(frozen=True)
class Batch:
    """Organizations whose data stands in the same collections; *place* says how far a walk has come."""

    place: str
    placement: Placement
    org_ids: Sequence[OrgId]


@dataclass(frozen=True)
class Sum:
    """What to add up for each organization: *amount*, an expression, over the documents that are *where*."""

    collection: TenantCollection
    where: Mapping[str, Any]
    amount: Any


class Census:
    """Walks over all organizations that are not purged, and asks each for sums."""

    def __init__(
        self, control: ControlPlane, client: "MongoClient[Any]", databases: Sequence[str], *, batch: int = BATCH
    ) -> None:
        self._organizations = control.organizations.with_options(
            read_preference=ReadPreference.SECONDARY_PREFERRED
        )
        self._client = client
        self._databases = tuple(sorted(databases))
        self._batch = batch

    def batches(self, after: str = _FIRST) -> Iterator[Batch]:
        """Go through all organizations of the databases in the order of their places, from *after* on."""
        database, mode, org_id = after.rsplit(":", 2) if after else ("", "", "")
        for placement in self._placements():
            here = (placement.database, placement.mode)
            if here >= (database, mode):
                yield from self._here(placement, org_id if here == (database, mode) else _FIRST)

    def sums(self, batch: Batch, sums: Sequence[Sum]) -> list[dict[OrgId, int]]:
        """Return each of the *sums* of each organization that has any, all as of one moment.

        Raises `ExecutionTimeout` after a minute, and pymongo's other errors.
        """
        with self._client.start_session(snapshot=True) as session:
            return [self._sum(batch, one, session) for one in sums]

    def _sum(self, batch: Batch, asked: Sum, session: ClientSession) -> dict[OrgId, int]:
        name = name_of(asked.collection.name, batch.org_ids[0], batch.placement)
        database = self._client.get_database(
            batch.placement.database, read_preference=ReadPreference.SECONDARY_PREFERRED
        )
        steps: list[Mapping[str, Any]] = [
            {"$match": {"org_id": {"$in": list(batch.org_ids)}, **asked.where}},
            {"$group": {"_id": "$org_id", "sum": {"$sum": asked.amount}}},
        ]
        found = database[name].aggregate(steps, session=session, maxTimeMS=WITHIN_MS)
        return {OrgId(one["_id"]): int(one["sum"]) for one in found}

    def _placements(self) -> Iterator[Placement]:
        for database in self._databases:
            yield Placement("dedicated", database)
            yield Placement("pooled", database)

    def _here(self, placement: Placement, after: str) -> Iterator[Batch]:
        where = {"placement.database": placement.database, "placement.mode": placement.mode}
        most = 1 if placement.mode == "dedicated" else self._batch
        while True:
            page = {**where, "_id": {"$gt": after}, "state": {"$ne": "purged"}}
            found = self._organizations.find(page, {"_id": 1}).sort("_id", 1).limit(most)
            org_ids = [OrgId(one["_id"]) for one in found]
            if not org_ids:
                return
            after = org_ids[-1]
            yield Batch(f"{placement.database}:{placement.mode}:{after}", placement, org_ids)
