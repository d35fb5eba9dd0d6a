"""How full each data database is, and where the next dedicated organization goes.

Dedicated collections cost the server open files, of which it has so many for all its tenants: at the end of them
it stops for everybody. So a database warns when four fifths of a limit are used and takes no more at nine tenths;
then the next one does. With none left, nothing is accepted.

A dedicated organization stays in its database for now. Moving one to another, or between pooled and dedicated, is
copying its collections and then changing `placement` in the registry: one update that all code above follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pymongo import MongoClient
from pymongo.client_session import ClientSession

from common.errors import Unavailable
from common.metrics import CAPACITY
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement

WARNS_AT, FULL_AT = 0.8, 0.9
FULL_RETRY_S = 300
State = Literal["ok", "warning", "full"]


@dataclass(frozen=True)
class Limits:
    """How much a database may hold: dedicated organizations, collections, and files (collections and indexes)."""

    organizations: int
    collections: int
    files: int


@dataclass(frozen=True)
class Load:
    """What a database holds, what is on its way to it included."""

    database: str
    organizations: int
    collections: int
    files: int
    limits: Limits

    @property
    def shares(self) -> Mapping[str, float]:
        """Return how much of each limit is used."""
        return {
            name: getattr(self, name) / getattr(self.limits, name)
            for name in ("organizations", "collections", "files")
        }

    @property
    def placement(self) -> Placement:
        """Return the place of a dedicated organization here."""
        return Placement("dedicated", self.database)

    @property
    def share(self) -> float:
        """Return how much of the limit is used that is nearest."""
        return max(self.shares.values())

    @property
    def state(self) -> State:
        """Tell whether it takes more."""
        if self.share >= FULL_AT:
            return "full"
        return "warning" if self.share >= WARNS_AT else "ok"

    def with_one_more(self) -> "Load":
        """Return what it holds with another dedicated organization."""
        collections, files = cost()
        return Load(
            self.database,
            self.organizations + 1,
            self.collections + collections,
            self.files + files,
            self.limits,
        )


def cost() -> tuple[int, int]:
    """Return how many collections and files a dedicated organization has."""
    indexes = sum(len(one.indexes) + 1 for one in TENANT_COLLECTIONS.values())  # each has one of its ids, too
    return len(TENANT_COLLECTIONS), len(TENANT_COLLECTIONS) + indexes


class Capacity:
    """Looks at the databases and chooses among them."""

    def __init__(
        self,
        control: ControlPlane,
        client: "MongoClient[Any]",
        databases: Sequence[str],
        *,
        limits: Limits,
    ) -> None:
        self._control = control
        self._client = client
        self._databases = tuple(databases)
        self._limits = limits

    def look(self) -> list[Load]:
        """Return the load of each database, in the order in which they fill."""
        return [self._load(database, self._stats(database)) for database in self._databases]

    def publish(self) -> None:
        """Bring the loads to the metrics."""
        for load in self.look():
            for figure, share in load.shares.items():
                CAPACITY.labels(load.database, figure).set(share)

    def choose(self, session: ClientSession, stats: Mapping[str, tuple[int, int]]) -> tuple[Load, Load]:
        """Choose the database for a dedicated organization, in the transaction that accepts it.

        Return its load before and with it. *stats* is what `measure` found before; who chooses at the same time
        waits for us, and counts again. Raises `Unavailable` if every database is full.
        """
        for database in self._databases:
            self._control.databases.update_one(
                {"_id": database}, {"$inc": {"choices": 1}}, upsert=True, session=session
            )
            load = self._load(database, stats[database], session)
            if load.state != "full":
                return load, load.with_one_more()
        raise Unavailable(
            "Every database is full. An operator has to name another one in FAIRWAY_DATA_DATABASES.",
            retry_after_s=FULL_RETRY_S,
        )

    def measure(self) -> Mapping[str, tuple[int, int]]:
        """Return the collections and the files of each database, as it tells them."""
        return {database: self._stats(database) for database in self._databases}

    def _stats(self, database: str) -> tuple[int, int]:
        found = self._client[database].command("dbStats")
        return int(found["collections"]), int(found["collections"]) + int(found["indexes"])

    def _load(self, database: str, stats: tuple[int, int], session: ClientSession | None = None) -> Load:
        there = self._control.organizations.count_documents(
            {"placement.database": database, "placement.mode": "dedicated"}, session=session
        )
        coming = self._coming(database, session)
        collections, files = cost()
        return Load(
            database,
            there + coming,
            stats[0] + coming * collections,
            stats[1] + coming * files,
            self._limits,
        )

    def _coming(self, database: str, session: ClientSession | None) -> int:
        """Count the dedicated organizations that are accepted and not there yet."""
        where = {"placement.database": database, "placement.mode": "dedicated", "state": "reserved"}
        jobs = [one["job_id"] for one in self._control.slugs.find(where, {"job_id": 1}, session=session)]
        open_ones = {"_id": {"$in": jobs}, "state": {"$nin": ["succeeded", "failed", "cancelled"]}}
        return self._control.jobs.count_documents(open_ones, session=session) if jobs else 0


def _shown(load: Load) -> dict[str, Any]:
    return {
        name: {"used": getattr(load, name), "limit": getattr(load.limits, name)}
        for name in ("organizations", "collections", "files")
    }


def shown(load: Load) -> dict[str, Any]:
    """Return *load* as operators see it."""
    return {"database": load.database, "state": load.state, "share": round(load.share, 4), **_shown(load)}
