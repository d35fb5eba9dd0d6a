"""Collections and indexes as they are declared, compared with those that are there, and brought up to date.

What is declared stands beside the data that it serves. Here is only the walk: the control plane's collections,
each database's pooled ones, each dedicated organization's own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pymongo import IndexModel, MongoClient
from pymongo.errors import OperationFailure

from common.ids import OrgId
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tenancy.control import ControlPlane, ensure_collection
from common.tenancy.registry import Placement, name_of

What = Literal[
    "collection_missing",
    "index_missing",
    "index_differs",
    "index_building",
    "index_unknown",
    "database_unknown",
    "collection_orphaned",
]
_OPTIONS = (
    "unique", "sparse", "expireAfterSeconds", "partialFilterExpression", "collation",
    "weights", "default_language", "language_override",
)  # fmt: skip
_TEXT_DEFAULTS = {"default_language": "english", "language_override": "language"}
_TEXT_KEY = [("_fts", "text"), ("_ftsx", 1)]
_OWNED = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\.(?P<org_id>[0-9a-f]{8}-[0-9a-f-]{27})\Z")
_NO_SUCH_NAMESPACE = 26


@dataclass(frozen=True)
class Target:
    """A collection that should be there, with its indexes; *place* says how far a walk has come."""

    place: str
    database: str
    collection: str
    indexes: Sequence[IndexModel]


@dataclass(frozen=True)
class Difference:
    """Something that is not as it is declared."""

    what: What
    database: str
    collection: str
    index: str | None = None

    def shown(self) -> dict[str, str | None]:
        """Return it as operators see it."""
        return {
            "what": self.what,
            "database": self.database,
            "collection": self.collection,
            "index": self.index,
        }


class Indexes:
    """The walk over everything that should be there."""

    def __init__(self, control: ControlPlane, client: "MongoClient[Any]", databases: Sequence[str]) -> None:
        self._control = control
        self._client = client
        self._databases = tuple(databases)

    def targets(self, after: str = "") -> Iterator[Target]:
        """Go through all targets in the order of their places, from *after* on."""
        for target in self._shared():
            if target.place > after:
                yield target
        first = after.split(":")[1] if after.startswith("2:") else ""
        for org_id, placement in self._dedicated(OrgId(first)):
            for name, declared in sorted(TENANT_COLLECTIONS.items()):
                target = Target(
                    f"2:{org_id}:{name}", placement.database, name_of(name, org_id, placement), declared.indexes
                )
                if target.place > after:
                    yield target

    def count(self) -> int:
        """Return how many targets there are."""
        dedicated = self._control.organizations.count_documents(
            {"placement.mode": "dedicated", "placement.database": {"$in": list(self._databases)}}
        )
        return sum(1 for _ in self._shared()) + dedicated * len(TENANT_COLLECTIONS)

    def compare(self, target: Target) -> list[Difference]:
        """Return what is not as it is declared."""
        try:
            there = self._there(target)
        except OperationFailure as error:
            if error.code != _NO_SUCH_NAMESPACE:
                raise
            return [Difference("collection_missing", target.database, target.collection)]
        found = []
        for model in target.indexes:
            wanted = _normal(model.document)
            is_known = there.pop(str(wanted["name"]), None)
            if is_known is None:
                found.append(_difference("index_missing", target, wanted))
            elif is_known["building"]:
                found.append(_difference("index_building", target, wanted))
            elif is_known["index"] != wanted:
                found.append(_difference("index_differs", target, wanted))
        there.pop("_id_", None)
        return found + [_difference("index_unknown", target, one["index"]) for one in there.values()]

    def bring_up_to_date(self, target: Target) -> None:
        """Make what is missing, and anew what differs; what is unknown here stays, and is only told.

        Building an index of much data takes longer than a connection waits; the server goes on with it.
        """
        collection = self._client[target.database][target.collection]
        for one in self.compare(target):
            if one.what == "index_differs" and one.index is not None:
                collection.drop_index(one.index)
        ensure_collection(self._client[target.database], target.collection, target.indexes)

    def astray(self) -> Iterator[Difference]:
        """Compare the registry with what is there: organizations in databases that are not ours, and orphans."""
        lost = {"placement.database": {"$exists": True, "$nin": list(self._databases)}}
        for one in self._control.organizations.find(lost, {"placement": 1}):
            yield Difference("database_unknown", one["placement"]["database"], str(one["_id"]))
        for database in self._databases:
            for name in self._client[database].list_collection_names():
                owned = _OWNED.match(name)
                if (
                    owned
                    and owned["name"] in TENANT_COLLECTIONS
                    and not self._lives_here(owned["org_id"], database)
                ):
                    yield Difference("collection_orphaned", database, name)

    def _shared(self) -> Iterator[Target]:
        own = self._control.name
        for name, indexes in sorted(self._control.declared.items()):
            yield Target(f"0:{own}:{name}", own, name, indexes)
        for database in sorted(self._databases):
            for name, declared in sorted(TENANT_COLLECTIONS.items()):
                yield Target(f"1:{database}:{name}", database, name, declared.indexes)

    def _dedicated(self, first: OrgId) -> Iterator[tuple[OrgId, Placement]]:
        where = {"_id": {"$gte": first}, "placement.mode": "dedicated"}
        for one in self._control.organizations.find(where, {"placement": 1}).sort("_id", 1):
            placement = Placement(**one["placement"])
            if placement.database in self._databases:
                yield OrgId(one["_id"]), placement

    def _lives_here(self, org_id: str, database: str) -> bool:
        """Tell whether that dedicated organization is there, or on its way."""
        place = {"placement.mode": "dedicated", "placement.database": database}
        there = self._control.organizations.find_one({"_id": org_id, **place}, {"_id": 1})
        return (
            there is not None or self._control.slugs.find_one({"org_id": org_id, **place}, {"_id": 1}) is not None
        )

    def _there(self, target: Target) -> dict[str, dict[str, Any]]:
        """Return the indexes that are there by name, each with whether it is still being built."""
        answer = self._client[target.database].command(
            "listIndexes", target.collection, cursor={"batchSize": 1_000}, includeIndexBuildInfo=True
        )
        found = {}
        for one in answer["cursor"]["firstBatch"]:
            spec = one.get("spec", one)
            found[spec["name"]] = {"index": _normal(spec), "building": "indexBuildInfo" in one}
        return found


def _normal(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes an index what it is."""
    options = {name: index[name] for name in _OPTIONS if index.get(name) not in (None, False)}
    key = list(index["key"].items())
    texts = [field for field, order in key if order == "text"]
    if texts:
        options = {**_TEXT_DEFAULTS, **options, "weights": _weights(texts, options.get("weights", {}))}
        key = _as_told(key, texts)
    return {"name": index["name"], "key": key, **options}


def _weights(texts: Sequence[str], given: Mapping[str, int]) -> dict[str, int]:
    """Return what each field of a text index counts, as the server tells it."""
    return {field: 1 for field in texts if field != "_fts"} | dict(given)


def _as_told(key: list[tuple[str, Any]], texts: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the key of a text index as the server tells it: two fields in the place of all that hold text."""
    first = key.index((texts[0], "text"))
    rest = [one for one in key[first:] if one[1] != "text" and one not in _TEXT_KEY]
    return [*key[:first], *_TEXT_KEY, *rest]


def _difference(what: What, target: Target, index: Mapping[str, Any]) -> Difference:
    return Difference(what, target.database, target.collection, str(index["name"]))
