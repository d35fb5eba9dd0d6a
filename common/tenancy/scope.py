"""`OrgScope`: the only way to a tenant's data. What it gives carries the organization; it never gives a client.

- The organization's condition is merged into every filter and into the first stage of every pipeline.
- It is put into every document that is inserted, and no update may touch it.
- Operators and stages that could leave the organization, or run code in the server, are refused wherever they
  stand.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pymongo import MongoClient, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from common.ids import OrgId
from common.tenancy.collections import TENANT_COLLECTIONS, TenantCollection
from common.tenancy.control import in_transaction

T = TypeVar("T")
Filter = Mapping[str, Any]
Document = Mapping[str, Any]

_CODE = frozenset({"$where", "$function", "$accumulator"})
_STAGES = frozenset(
    {
        "$match",
        "$group",
        "$sort",
        "$limit",
        "$skip",
        "$project",
        "$addFields",
        "$set",
        "$unset",
        "$unwind",
        "$count",
    }
    | {"$facet", "$bucket", "$bucketAuto", "$sortByCount", "$replaceRoot", "$replaceWith", "$sample"}
    | {"$setWindowFields", "$densify", "$fill", "$redact"}
)
_OWNER = "org_id"


class Unsafe(ValueError):
    """A query that could leave its organization; a mistake in our own code, not a caller's."""


class OrgCollection:
    """One collection as one organization sees it: every other organization's documents do not exist."""

    def __init__(
        self, collection: Collection[Any], org_id: OrgId, session: ClientSession | None, *, writable: bool
    ) -> None:
        self.__collection = collection
        self.__org_id = org_id
        self.__session = session
        self.__writable = writable

    def find(
        self,
        filter: Filter | None = None,  # noqa: A002 (pymongo's name)
        *,
        projection: Any = None,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        hint: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the documents that match."""
        safe(projection)
        cursor = self.__collection.find(
            self.__mine(filter), projection, sort=sort, limit=limit, session=self.__session
        )
        return iter(cursor.hint(hint) if hint else cursor)

    def find_one(self, filter: Filter | None = None, *, projection: Any = None) -> dict[str, Any] | None:  # noqa: A002
        """Return the first document that matches, or `None`."""
        safe(projection)
        found: dict[str, Any] | None = self.__collection.find_one(
            self.__mine(filter), projection, session=self.__session
        )
        return found

    def count_documents(self, filter: Filter | None = None, *, limit: int | None = None) -> int:  # noqa: A002
        """Count the documents that match, at most *limit*."""
        options = {"limit": limit} if limit else {}
        return self.__collection.count_documents(self.__mine(filter), session=self.__session, **options)

    def distinct(self, key: str, filter: Filter | None = None) -> list[Any]:  # noqa: A002
        """List the different values of *key*."""
        return self.__collection.distinct(key, self.__mine(filter), session=self.__session)

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Run *pipeline* over the organization's documents only."""
        return iter(self.__collection.aggregate(self.__pipeline(pipeline), session=self.__session))

    def insert_one(self, document: Document) -> None:
        """Insert *document*; it belongs to the organization, whatever it says."""
        self.__writing().insert_one(self.__owned(document), session=self.__session)

    def insert_many(self, documents: Iterable[Document], *, ordered: bool = True) -> None:
        """Insert *documents*; each belongs to the organization, whatever it says."""
        owned = [self.__owned(one) for one in documents]
        self.__writing().insert_many(owned, ordered=ordered, session=self.__session)

    def update_one(self, filter: Filter, update: Mapping[str, Any], *, upsert: bool = False) -> int:  # noqa: A002
        """Update the first match; return how many matched."""
        return (
            self.__writing()
            .update_one(self.__mine(filter), safe_update(update), upsert=upsert, session=self.__session)
            .matched_count
        )

    def update_many(self, filter: Filter, update: Mapping[str, Any]) -> int:  # noqa: A002
        """Update every match; return how many matched."""
        return (
            self.__writing()
            .update_many(self.__mine(filter), safe_update(update), session=self.__session)
            .matched_count
        )

    def update_each(self, updates: Iterable[tuple[Filter, Mapping[str, Any]]]) -> int:
        """Make many single updates in one round trip, in any order; return how many matched."""
        operations = [UpdateOne(self.__mine(where), safe_update(update)) for where, update in updates]
        if not operations:
            return 0
        return self.__writing().bulk_write(operations, ordered=False, session=self.__session).matched_count

    def replace_one(self, filter: Filter, document: Document, *, upsert: bool = False) -> int:  # noqa: A002
        """Replace the first match; return how many matched."""
        owned = self.__owned(document)
        return (
            self.__writing()
            .replace_one(self.__mine(filter), owned, upsert=upsert, session=self.__session)
            .matched_count
        )

    def find_one_and_update(
        self,
        filter: Filter,  # noqa: A002
        update: Mapping[str, Any],
        *,
        upsert: bool = False,
        projection: Any = None,
        return_document: bool = False,
    ) -> dict[str, Any] | None:
        """Update the first match and return it as it was, or with *return_document* as it is now."""
        safe(projection)
        found: dict[str, Any] | None = self.__writing().find_one_and_update(
            self.__mine(filter),
            safe_update(update),
            projection=projection,
            upsert=upsert,
            return_document=return_document,
            session=self.__session,
        )
        return found

    def delete_one(self, filter: Filter) -> int:  # noqa: A002
        """Delete the first match; return how many went."""
        return self.__writing().delete_one(self.__mine(filter), session=self.__session).deleted_count

    def delete_many(self, filter: Filter) -> int:  # noqa: A002
        """Delete every match; return how many went."""
        return self.__writing().delete_many(self.__mine(filter), session=self.__session).deleted_count

    def __mine(self, where: Filter | None) -> dict[str, Any]:
        safe(where)
        if not where:
            return {_OWNER: self.__org_id}
        if _OWNER in where:
            return {"$and": [{_OWNER: self.__org_id}, dict(where)]}
        return {_OWNER: self.__org_id, **where}

    def __owned(self, document: Document) -> dict[str, Any]:
        return {**document, _OWNER: self.__org_id}

    def __pipeline(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        safe_pipeline(pipeline)
        first = pipeline[0].get("$match") if pipeline else None
        if first is not None:  # merged into it: $text must stand in the first stage
            return [{"$match": self.__mine(first)}, *pipeline[1:]]
        return [{"$match": {_OWNER: self.__org_id}}, *pipeline]

    def __writing(self) -> Collection[Any]:
        if not self.__writable:
            raise Unsafe("This view is for reading. A handler writes through ctx.write, behind its fence.")
        return self.__collection


class OrgScope:
    """An organization's data. Made by the registry, which knows where it is placed."""

    def __init__(
        self,
        org_id: OrgId,
        client: "MongoClient[Any]",
        database: str,
        *,
        session: ClientSession | None = None,
        writable: bool = True,
    ) -> None:
        if not org_id:
            raise Unsafe("A scope needs an organization.")
        self.org_id = org_id
        self.__client = client
        self.__database = database
        self.__session = session
        self.__writable = writable

    def __getitem__(self, collection: TenantCollection) -> OrgCollection:
        """Return *collection* as this organization sees it. Raises `Unsafe` if it is not a declared one."""
        if TENANT_COLLECTIONS.get(collection.name) is not collection:
            raise Unsafe(f"{collection.name} is not a declared collection of tenant data.")
        found = self.__client[self.__database][collection.name]
        return OrgCollection(found, self.org_id, self.__session, writable=self.__writable)

    def transaction(self, work: Callable[["OrgScope"], T]) -> T:
        """Run *work* in one transaction; a transient conflict runs it again, for at most 20 seconds.

        Inside a transaction it joins that one.
        """
        if self.__session is not None:
            return work(self)

        def bound(session: ClientSession) -> T:
            return work(
                OrgScope(self.org_id, self.__client, self.__database, session=session, writable=self.__writable)
            )

        return in_transaction(self.__client, bound)

    def reading(self) -> "OrgScope":
        """Return a view that refuses every write."""
        return OrgScope(self.org_id, self.__client, self.__database, session=self.__session, writable=False)


def safe(part: Any) -> None:
    """Raise `Unsafe` if code for the server stands anywhere in *part*."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key in _CODE:
                raise Unsafe(f"{key} would run code in the server.")
            safe(value)
    elif isinstance(part, list | tuple):
        for value in part:
            safe(value)


def safe_update(update: Any) -> Mapping[str, Any]:
    """Return *update* if it is one of operators that leave the owner alone. Raises `Unsafe`."""
    if not isinstance(update, Mapping) or not update:
        raise Unsafe("An update is a mapping of operators; a pipeline would evaluate the values in it.")
    for operator, fields in update.items():
        if not operator.startswith("$") or not isinstance(fields, Mapping):
            raise Unsafe(f"{operator!r} is no update operator with fields.")
        targets = [*fields, *fields.values()] if operator == "$rename" else list(fields)
        if any(str(target).split(".")[0] in {_OWNER, "_id"} for target in targets) and operator != "$setOnInsert":
            raise Unsafe("An update may not touch org_id or _id.")
        if operator == "$setOnInsert" and any(str(target).split(".")[0] == _OWNER for target in targets):
            raise Unsafe("An update may not touch org_id.")
    safe(update.get("$pull"))
    return update


def safe_pipeline(pipeline: Sequence[Mapping[str, Any]]) -> None:
    """Raise `Unsafe` unless every stage, also inside a `$facet`, stays with the documents it is given."""
    for stage in pipeline:
        if len(stage) != 1 or next(iter(stage)) not in _STAGES:
            raise Unsafe(f"The stage {'/'.join(stage) or 'without a name'} is not one that stays inside.")
        if "$facet" in stage:
            for inner in stage["$facet"].values():
                safe_pipeline(inner)
        safe(stage)
