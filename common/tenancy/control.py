"""The control plane: the shared collections that know organizations, people and jobs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from common.tenancy.connection import abort_idle_transactions

T = TypeVar("T")

_OWN_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "organizations": (
        IndexModel([("slug", ASCENDING)], unique=True, name="slug"),
        # For operators: what a database holds, and walks over it.
        IndexModel(
            [("placement.database", ASCENDING), ("placement.mode", ASCENDING), ("_id", ASCENDING)], name="placed"
        ),
    ),
    "users": (
        IndexModel([("org_id", ASCENDING), ("email", ASCENDING)], unique=True, name="email"),
        IndexModel([("org_id", ASCENDING), ("_id", ASCENDING)], name="org"),
        IndexModel([("org_id", ASCENDING), ("role", ASCENDING), ("state", ASCENDING)], name="role"),
        # For operators, across organizations.
        IndexModel([("email_domain", ASCENDING), ("_id", ASCENDING)], name="email_domain"),
    ),
    "sessions": (
        IndexModel([("org_id", ASCENDING), ("user_id", ASCENDING), ("_id", DESCENDING)], name="person"),
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    ),
    "api_keys": (IndexModel([("org_id", ASCENDING), ("_id", ASCENDING)], name="org"),),
    "event_numbers": (),
    "slugs": (
        IndexModel([("org_id", ASCENDING)], name="org"),
        IndexModel([("placement.database", ASCENDING)], name="on_its_way", sparse=True),
    ),
    "archives": (IndexModel([("org_id", ASCENDING), ("_id", ASCENDING)], name="org"),),
    "databases": (),
    "jobs": (),
    "closings": (),
    "idempotency": (),
    "audit": (),
    # A fence outlives its job's record, then goes.
    "fences": (IndexModel([("moved_at", ASCENDING)], expireAfterSeconds=100 * 24 * 3600, name="expiry"),),
    "leases": (),
    "signing_keys": (),
    "platform_state": (),
}


class ControlPlane:
    """The collections of the control database: majority, journaled, read from the primary.

    *indexes* are those of collections whose rules live elsewhere (jobs, idempotency).
    """

    def __init__(
        self, client: "MongoClient[Any]", database: str, indexes: Mapping[str, Sequence[IndexModel]]
    ) -> None:
        self._client = client
        self._database = client[database]
        self.name = database
        self.declared: Mapping[str, Sequence[IndexModel]] = {**_OWN_INDEXES, **indexes}
        self.organizations: Collection[Any] = self._database["organizations"]
        self.users: Collection[Any] = self._database["users"]
        self.sessions: Collection[Any] = self._database["sessions"]
        self.api_keys: Collection[Any] = self._database["api_keys"]
        self.events: Collection[Any] = self._database["events"]
        self.event_numbers: Collection[Any] = self._database["event_numbers"]
        self.changes: Collection[Any] = self._database["changes"]
        self.archives: Collection[Any] = self._database["archives"]
        self.databases: Collection[Any] = self._database["databases"]
        self.slugs: Collection[Any] = self._database["slugs"]
        self.jobs: Collection[Any] = self._database["jobs"]
        self.closings: Collection[Any] = self._database["closings"]
        self.idempotency: Collection[Any] = self._database["idempotency"]
        self.audit: Collection[Any] = self._database["audit"]
        self.fences: Collection[Any] = self._database["fences"]
        self.leases: Collection[Any] = self._database["leases"]
        self.signing_keys: Collection[Any] = self._database["signing_keys"]
        self.platform_state: Collection[Any] = self._database["platform_state"]
        self.usage: Collection[Any] = self._database["usage"]
        self.usage_batches: Collection[Any] = self._database["usage_batches"]
        self.usage_storage: Collection[Any] = self._database["usage_storage"]
        self.usage_warnings: Collection[Any] = self._database["usage_warnings"]
        self.platform_totals: Collection[Any] = self._database["platform_totals"]
        self.platform_tenants: Collection[Any] = self._database["platform_tenants"]

    def transaction(self, work: Callable[[ClientSession], T]) -> T:
        """Run *work* in one transaction; a transient conflict runs it again, for at most 20 seconds."""
        return in_transaction(self._client, work)

    def next_lock_epoch(self) -> int:
        """Return a number larger than all before it; with majority, so that no rollback can repeat it."""
        found: Any = self.platform_state.find_one_and_update(
            {"_id": "lock_epoch"}, {"$inc": {"number": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        return int(found["number"])

    def is_first_memory(self, now: datetime) -> bool:
        """Tell whether no Redis remembered anything before, within seconds of that being so; if unsure, say no.

        Several processes of a new installation ask at about the same moment, and all of them are told yes.
        """
        at_first = {"$setOnInsert": {"at": now}}
        try:
            found: Any = self.platform_state.find_one_and_update(
                {"_id": "redis_memory"}, at_first, upsert=True, return_document=ReturnDocument.AFTER
            )
        except PyMongoError:
            return False
        return bool(now - found["at"] < _FIRST_LASTS)

    def somebody_sweeps(self) -> bool:
        """Tell whether a sweeper leads at this moment."""
        over = {"$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        return self.leases.find_one({"_id": "sweeper", **over}) is not None

    def abort_idle_transactions(self, idle_s: float) -> int:
        """Abort what dead processes left open on this server; see `connection.abort_idle_transactions`."""
        return abort_idle_transactions(self._client, idle_s)

    def ensure_indexes(self) -> None:
        """Make the collections and their indexes; safe to repeat and to run in many processes."""
        for name, indexes in self.declared.items():
            ensure_collection(self._database, name, indexes)


def in_transaction(client: "MongoClient[Any]", work: Callable[[ClientSession], T]) -> T:
    """Run *work* in one transaction of *client*. Raises `PyMongoError` if it can't be committed in 20 seconds."""
    with pymongo.timeout(_TRANSACTION_S), client.start_session() as session:
        return session.with_transaction(work)


def at_one_moment(client: "MongoClient[Any]", work: Callable[[ClientSession], T]) -> T:
    """Run *work*, whose reads are all as of one moment, by when a majority had it; it can't write.

    Unlike a transaction it needs no commit, which would take longer than the reads. If the moment can't be read
    any more, since a collection was made meanwhile, *work* runs again. Raises `PyMongoError` after 20 seconds.
    """
    with pymongo.timeout(_TRANSACTION_S):
        while True:
            try:
                with client.start_session(snapshot=True) as session:
                    return work(session)
            except OperationFailure as error:
                if error.code not in _MOMENT_IS_GONE:
                    raise


def ensure_collection(database: Any, name: str, indexes: Sequence[IndexModel]) -> None:
    """Make one collection with its indexes, unless they are there."""
    try:
        database.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    if indexes:
        database[name].create_indexes(list(indexes))


_NAMESPACE_EXISTS = 48
_MOMENT_IS_GONE = frozenset({239, 246})
"""SnapshotTooOld, SnapshotUnavailable."""

_FIRST_LASTS = timedelta(seconds=10)
_TRANSACTION_S = 20
