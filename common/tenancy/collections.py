"""Collections of tenants' data, each declared beside the family that it serves, with its indexes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pymongo import IndexModel

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_DECLARED: dict[str, "TenantCollection"] = {}
TENANT_COLLECTIONS: Mapping[str, "TenantCollection"] = MappingProxyType(_DECLARED)

INDEXES_WITHOUT_ORGANIZATION = {
    ("fences", "expiry"): "a TTL index holds one date and serves no query",
    ("import_groups", "expiry"): "the same",
    ("tickets", "expiry"): "the same",
    ("ingestion_seen", "expiry"): "the same",
    ("refused_rows", "expiry"): "the same",
    ("loose_blobs", "due"): "the cleaner asks whose bytes are due, and is told organizations only",
    ("sources", "expiry"): "a TTL index holds one date and serves no query",
    ("source_runs", "due"): "the sweeper asks whose sources are due, and is told organizations only",
    ("ingestion_logs", "settle"): "the same, of runs that nobody has written the end of",
    ("reports", "expiry"): "a TTL index holds one date and serves no query",
    ("ingestion_logs", "expiry"): "a TTL index holds one date and serves no query",
}
"""The indexes of tenant data that do not begin with `org_id`, with their reasons."""


@dataclass(frozen=True, eq=False)
class TenantCollection:
    """One collection of the data plane. Declaring it registers it; only registered ones can be reached.

    *references* are its fields that hold ids of other things; what *travels* goes along in its organization's
    archive. *blob* is the field that names a stored file, whose bytes live as long as the document. To one that is
    *append_only* nothing but inserts can be written. Raises `TypeError` for a name that is taken or none of ours,
    and for an index that does not begin with `org_id` and is not listed above.
    """

    name: str
    indexes: tuple[IndexModel, ...]
    references: tuple[str, ...] = ()
    travels: bool = True
    blob: str | None = None
    append_only: bool = False

    def __post_init__(self) -> None:
        if not _NAME.match(self.name) or self.name.startswith("system"):
            raise TypeError(f"A collection is named in lower case, digits and underscores, not {self.name!r}.")
        if self.name in _DECLARED:
            raise TypeError(f"Two collections are called {self.name}.")
        for index in self.indexes:
            document = index.document
            first = next(iter(document["key"]))
            if first != "org_id" and (self.name, document["name"]) not in INDEXES_WITHOUT_ORGANIZATION:
                raise TypeError(f"The index {document['name']} of {self.name} does not begin with org_id.")
        _DECLARED[self.name] = self
