"""`OrgScope`: the only way to a tenant's data. What it gives carries the organization; it never gives a client."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pymongo.client_session import ClientSession
from pymongo.database import Database

from common.ids import PLATFORM, OrgId, is_id
from common.tenancy.collections import TENANT_COLLECTIONS, TenantCollection
from common.tenancy.control import at_one_moment, in_transaction
from common.tenancy.org_collection import OrgCollection
from common.tenancy.safety import Unsafe

T = TypeVar("T")


class OrgScope:
    """An organization's data. Made by the registry alone, which knows where it is placed.

    *prepared* names the collections that exist in that database, by what they were declared as: only they are
    given, because an insert into another one would create it. Raises `Unsafe` for an *org_id* that is no id: a
    regular expression in its place would be every organization.
    """

    def __init__(
        self,
        org_id: OrgId,
        database: "Database[Any]",
        prepared: Mapping[str, str],
        *,
        session: ClientSession | None = None,
        writable: bool = True,
    ) -> None:
        if not isinstance(org_id, str) or not (org_id == PLATFORM or is_id(org_id)):
            raise Unsafe("A scope needs the id of an organization.")
        self.__org_id = org_id
        self.__database = database
        self.__prepared = prepared
        self.__session = session
        self.__writable = writable

    @property
    def org_id(self) -> OrgId:
        """Return whose data this is; it never changes."""
        return self.__org_id

    def __getitem__(self, collection: TenantCollection) -> OrgCollection:
        """Return *collection* as this organization sees it. Raises `Unsafe` if it is not declared and prepared."""
        if (
            not isinstance(collection, TenantCollection)
            or TENANT_COLLECTIONS.get(collection.name) is not collection
        ):
            raise Unsafe(f"{collection!r} is no declared collection of tenant data.")
        if collection.name not in self.__prepared:
            raise Unsafe(f"{collection.name} was declared after its database was prepared.")
        found = self.__database[self.__prepared[collection.name]]
        return OrgCollection(
            found,
            self.__org_id,
            self.__session,
            writable=self.__writable,
            append_only=collection.append_only,
        )

    def transaction(self, work: Callable[["OrgScope"], T]) -> T:
        """Run *work* in one transaction; a transient conflict runs it again, for at most 20 seconds.

        Inside a transaction it joins that one. Raises `PyMongoError` if it can't be committed in that time.
        """
        if self.__session is not None:
            return work(self)
        return in_transaction(
            self.__database.client, lambda session: work(self.__view(session, writable=self.__writable))
        )

    def at_one_moment(self, work: Callable[["OrgScope"], T]) -> T:
        """Run *work* on a view that is as of one moment, whatever changes meanwhile, and refuses every write.

        Inside a transaction it joins that one. Raises `PyMongoError` after 20 seconds.
        """
        if self.__session is not None:
            return work(self.reading())
        return at_one_moment(self.__database.client, lambda session: work(self.__view(session, writable=False)))

    def reading(self) -> "OrgScope":
        """Return a view that refuses every write."""
        return self.__view(self.__session, writable=False)

    def __view(self, session: ClientSession | None, *, writable: bool) -> "OrgScope":
        return OrgScope(self.__org_id, self.__database, self.__prepared, session=session, writable=writable)
