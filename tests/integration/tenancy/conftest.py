"""Two organizations in the same pooled collections, and a look at everything from outside of any scope."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from common.clock import SystemClock
from common.config import Settings
from common.ids import OrgId, new_id
from common.jobs.kind import discover
from common.tenancy.changes import Changes
from common.tenancy.connection import connect
from common.tenancy.control import ControlPlane
from common.tenancy.org_collection import OrgCollection
from common.tenancy.registry import Placement, Registry, name_of
from common.tenancy.remembered import Remembered
from common.tenancy.scope import OrgScope
from common.tickets.collections import TICKETS

THINGS = TICKETS  # any declared collection with an index of words would do; this one is real
EACH_HAS = 3


@pytest.fixture
def client(settings: Settings) -> Iterator["MongoClient[Any]"]:
    """Return a client as the processes have it."""
    with connect(settings.mongo_url.get_secret_value(), "test") as made:
        yield made


@pytest.fixture
def control(client: "MongoClient[Any]", settings: Settings) -> ControlPlane:
    """Return the control plane, with its collections and indexes."""
    made = ControlPlane(client, settings.control_database, {})
    made.ensure_indexes()
    return made


@pytest.fixture
def make_registry(client: "MongoClient[Any]", control: ControlPlane) -> Callable[..., Registry]:
    """Return a maker of registries over the databases that are named."""
    discover()

    def make(*databases: str) -> Registry:
        return Registry(control, client, databases, Remembered(Changes(control)))

    return make


def put_organization(control: ControlPlane, database: str, **fields: Any) -> OrgId:
    """Put an organization into the registry, without a sign-up."""
    org_id = OrgId(new_id())
    control.organizations.insert_one(
        {
            "_id": org_id,
            "name": "Acme",
            "slug": f"o-{org_id}",
            "tier": "free",
            "placement": {"mode": "pooled", "database": database},
            "created_at": SystemClock().now(),
            **fields,
        }
    )
    return org_id


@dataclass(frozen=True)
class Pool:
    """A pooled collection with the things of two organizations, and what must never be seen or changed."""

    scope: OrgScope
    mine: OrgCollection
    raw: "Collection[Any]"
    us: OrgId
    them: OrgId
    our_ids: tuple[str, ...]
    their_ids: tuple[str, ...]

    def fill(self) -> None:
        """Put everything back as it was in the beginning."""
        self.raw.with_options(write_concern=WriteConcern(w=1)).delete_many({})
        self.raw.insert_many(
            [
                {"_id": one, "org_id": owner, "natural_key": f"of {one}", "n": n, "message": "alpha", "tags": [n]}
                for owner, ids in ((self.us, self.our_ids), (self.them, self.their_ids))
                for n, one in enumerate(ids)
            ]
        )

    def theirs(self) -> list[dict[str, Any]]:
        """Return the other organization's things, as they are stored."""
        return list(self.raw.find({"org_id": self.them}).sort("_id"))

    def ours(self) -> list[dict[str, Any]]:
        """Return our own things, as they are stored."""
        return list(self.raw.find({"org_id": self.us}).sort("_id"))

    def nobodys(self) -> list[dict[str, Any]]:
        """Return the things that belong to neither."""
        return list(self.raw.find({"org_id": {"$nin": [self.us, self.them]}}))

    def collections(self) -> set[str]:
        """Name every collection of the server, with its database."""
        client = self.raw.database.client
        return {
            f"{database}.{name}"
            for database in client.list_database_names()
            for name in client[database].list_collection_names()
            if database not in {"admin", "config", "local"}
        }

    def shows_theirs(self, result: Any) -> bool:
        """Tell whether anything in *result* is an id of theirs or their name."""
        if isinstance(result, dict):
            return any(self.shows_theirs(one) for one in result.values())
        if isinstance(result, list | tuple):
            return any(self.shows_theirs(one) for one in result)
        return result == self.them or result in self.their_ids


@pytest.fixture(params=["pooled", "dedicated"])
def pool(
    control: ControlPlane,
    make_registry: Callable[..., Registry],
    client: "MongoClient[Any]",
    settings: Settings,
    request: pytest.FixtureRequest,
) -> Iterator[Pool]:
    """Return a collection with three things of each of two organizations, as each placement has it.

    In a dedicated one nobody else's things should ever be; the organization's condition holds there too.
    """
    database = settings.data_databases[0]
    registry = make_registry(database)
    registry.prepare_databases()
    placement = Placement(request.param, database)
    us = put_organization(control, database, placement=placement.document())
    them = put_organization(control, database)
    registry.prepare(us, placement)
    scope = registry.scope(us)
    name = name_of(THINGS.name, us, placement)
    made = Pool(
        scope=scope,
        mine=scope[THINGS],
        raw=client[database].get_collection(name, read_concern=ReadConcern("local")),
        us=us,
        them=them,
        our_ids=tuple(sorted(new_id() for _ in range(EACH_HAS))),
        their_ids=tuple(sorted(new_id() for _ in range(EACH_HAS))),
    )
    made.fill()
    yield made
    registry.drop_dedicated(us)
