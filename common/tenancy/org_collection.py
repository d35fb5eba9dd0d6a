"""`OrgCollection`: one collection as one organization sees it. What it gives never leads back to a client.

- The organization's condition is merged into every filter and into the first stage of every pipeline.
- It is put into every document that is written, and no update may touch it.
- What was inserted into an append-only collection stays as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from common.ids import OrgId
from common.tenancy.safety import (
    OWNER,
    Unsafe,
    refuse_forbidden,
    safe_document,
    safe_filter,
    safe_pipeline,
    safe_update,
)

Filter = Mapping[str, Any]
Document = Mapping[str, Any]
_AT_ONCE = 10_000
"""How many documents an answer may hold; MongoDB's own bound of 16 MB on it stays."""


class OrgCollection:
    """One collection as one organization sees it: every other organization's documents do not exist.

    Each method raises `Unsafe`, before anything is sent, for a query that could leave the organization, and
    for a change of what stands in a collection that is *append_only*.
    """

    def __init__(
        self,
        collection: Collection[Any],
        org_id: OrgId,
        session: ClientSession | None,
        *,
        writable: bool,
        append_only: bool = False,
    ) -> None:
        self.__collection = collection
        self.__org_id = org_id
        self.__session = session
        self.__writable = writable
        self.__append_only = append_only

    def find(
        self,
        filter: Filter | None = None,  # noqa: A002 (pymongo's name)
        *,
        projection: Any = None,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        hint: str | None = None,
        batch_size: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the documents that match; *batch_size* of them come at a time, or what the server gives."""
        refuse_forbidden(projection)
        cursor = self.__collection.find(
            self.__mine(filter),
            projection,
            sort=sort,
            limit=limit,
            hint=hint,
            batch_size=batch_size,
            session=self.__session,
        )
        return _rows(cursor)

    def find_all(
        self,
        filter: Filter,  # noqa: A002 (pymongo's name)
        *,
        projection: Any = None,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        hint: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the documents that match, in one round trip if they fit into an answer; for some thousands."""
        refuse_forbidden(projection)
        cursor = self.__collection.find(
            self.__mine(filter),
            projection,
            sort=sort,
            limit=limit,
            hint=hint,
            batch_size=_AT_ONCE,
            session=self.__session,
        )
        with cursor:
            return cursor.to_list()

    def find_one(self, filter: Filter | None = None, *, projection: Any = None) -> dict[str, Any] | None:  # noqa: A002
        """Return the first document that matches, or `None`."""
        refuse_forbidden(projection)
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
        return _rows(self.__collection.aggregate(self.__pipeline(pipeline), session=self.__session))

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
            self.__changing()
            .update_one(self.__mine(filter), safe_update(update), upsert=upsert, session=self.__session)
            .matched_count
        )

    def update_many(self, filter: Filter, update: Mapping[str, Any]) -> int:  # noqa: A002
        """Update every match; return how many matched."""
        return (
            self.__changing()
            .update_many(self.__mine(filter), safe_update(update), session=self.__session)
            .matched_count
        )

    def update_each(self, updates: Iterable[tuple[Filter, Mapping[str, Any]]]) -> int:
        """Make many single updates in one round trip, in any order; return how many matched."""
        collection = self.__changing()
        operations = [UpdateOne(self.__mine(where), safe_update(update)) for where, update in updates]
        if not operations:
            return 0
        return collection.bulk_write(operations, ordered=False, session=self.__session).matched_count

    def replace_one(self, filter: Filter, document: Document, *, upsert: bool = False) -> int:  # noqa: A002
        """Replace the first match; return how many matched."""
        owned = self.__owned(document)
        return (
            self.__changing()
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
        refuse_forbidden(projection)
        found: dict[str, Any] | None = self.__changing().find_one_and_update(
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
        return self.__changing().delete_one(self.__mine(filter), session=self.__session).deleted_count

    def delete_many(self, filter: Filter) -> int:  # noqa: A002
        """Delete every match; return how many went."""
        return self.__changing().delete_many(self.__mine(filter), session=self.__session).deleted_count

    def __mine(self, where: Filter | None) -> dict[str, Any]:
        if where is None:
            return {OWNER: self.__org_id}
        safe_filter(where)
        if OWNER in where:  # both must hold; a second key of the same name would replace ours
            return {"$and": [{OWNER: self.__org_id}, dict(where)]}
        return {OWNER: self.__org_id, **where}

    def __owned(self, document: Document) -> dict[str, Any]:
        return {**safe_document(document), OWNER: self.__org_id}

    def __pipeline(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        stages = list(safe_pipeline(pipeline))
        if stages and "$match" in stages[0]:  # merged into it: $text must stand in the first stage
            return [{"$match": self.__mine(stages[0]["$match"])}, *stages[1:]]
        return [{"$match": self.__mine(None)}, *stages]

    def __writing(self) -> Collection[Any]:
        if not self.__writable:
            raise Unsafe("This view is for reading. A handler writes through ctx.write, behind its fence.")
        return self.__collection

    def __changing(self) -> Collection[Any]:
        if self.__append_only:
            raise Unsafe("To this collection is only added; what stands in it stays.")
        return self.__writing()


def _rows(cursor: Any) -> Iterator[dict[str, Any]]:
    """Give the rows and keep the cursor, from which one could go on to the collection and the client."""
    with cursor:
        for row in cursor:  # noqa: UP028 (`yield from` would show the cursor as `gi_yieldfrom`)
            yield row
