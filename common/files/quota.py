"""How much of its quota an organization uses: one document, which moves in the transaction of every change.

stored      what its files have, each content once
reserved    what is on its way in: taken before the first byte comes, given back or turned into stored at the end

The document is made when it is first needed, from what is there; so it can be removed to have it counted anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from common.errors import TooLarge
from common.files.collections import FILES, LOOSE_BLOBS, STORAGE_USE
from common.tenancy.scope import OrgScope

WARNS_AT = 0.8
Level = Literal["ok", "warning", "full"]


class OverQuota(TooLarge):
    """The organization's storage has no room for this."""


@dataclass(frozen=True)
class Use:
    """What an organization uses of its storage; *told* is the level that its people were last told of."""

    stored_bytes: int
    reserved_bytes: int
    files: int
    told: Level = "ok"

    @property
    def used_bytes(self) -> int:
        """Return what counts against the quota."""
        return self.stored_bytes + self.reserved_bytes

    def level(self, limit_bytes: int) -> Level:
        """Tell how near the quota is."""
        if self.used_bytes >= limit_bytes:
            return "full"
        return "warning" if self.used_bytes >= WARNS_AT * limit_bytes else "ok"


def look(scope: OrgScope) -> Use:
    """Return what is used now."""
    found = scope[STORAGE_USE].find_one({"_id": scope.org_id})
    return _read(found if found is not None else count(scope))


def count(scope: OrgScope) -> dict[str, Any]:
    """Count anew what is used: the document as it has to be."""
    files = _sum(scope, FILES, "size_bytes")
    reserved = _sum(scope, LOOSE_BLOBS, "reserved_bytes")
    return {
        "_id": scope.org_id,
        "stored_bytes": files["bytes"],
        "reserved_bytes": reserved["bytes"],
        "files": files["count"],
        "told": "ok",
    }


def reserve(scope: OrgScope, size_bytes: int, limit_bytes: int) -> None:
    """Take *size_bytes* for what is to come, in the transaction of *scope*. Raises `OverQuota`."""
    if not size_bytes:
        return
    free = {"$expr": {"$lte": [{"$add": ["$stored_bytes", "$reserved_bytes", size_bytes]}, limit_bytes]}}
    if not _move(scope, {"reserved_bytes": size_bytes}, free):
        used_bytes = look(scope).used_bytes
        raise OverQuota(
            f"The organization's storage has no room for this: {used_bytes} of {limit_bytes} bytes are used, and"
            f" {size_bytes} more are needed. Remove files, or ask for a larger tier.",
            extra={"limit_bytes": limit_bytes, "used_bytes": used_bytes, "needed_bytes": size_bytes},
        )


def move(scope: OrgScope, *, stored_bytes: int = 0, reserved_bytes: int = 0, files: int = 0) -> None:
    """Add to what is used, in the transaction of *scope*; what is given back is negative."""
    _move(scope, {"stored_bytes": stored_bytes, "reserved_bytes": reserved_bytes, "files": files}, {})


def tell(scope: OrgScope, was: Level, now: Level) -> bool:
    """Note that people are told of another level; `True` for one of those who note it at the same time."""
    return scope[STORAGE_USE].update_one({"_id": scope.org_id, "told": was}, {"$set": {"told": now}}) == 1


def _move(scope: OrgScope, by: Mapping[str, int], where: Mapping[str, Any]) -> bool:
    use, increments = scope[STORAGE_USE], {name: value for name, value in by.items() if value}
    if not increments:
        return True
    if use.update_one({"_id": scope.org_id, **where}, {"$inc": increments}):
        return True
    if use.find_one({"_id": scope.org_id}, projection={"_id": 1}) is not None:
        return False
    use.insert_one(count(scope))  # counted before this change is written: callers move first, and write then
    return _move(scope, by, where)


def _sum(scope: OrgScope, collection: Any, field: str) -> dict[str, int]:
    group = {"_id": None, "bytes": {"$sum": f"${field}"}, "count": {"$sum": 1}}
    found = next(scope[collection].aggregate([{"$group": group}]), None)
    return {"bytes": int(found["bytes"]), "count": int(found["count"])} if found else {"bytes": 0, "count": 0}


def _read(document: Mapping[str, Any]) -> Use:
    return Use(
        stored_bytes=document["stored_bytes"],
        reserved_bytes=document["reserved_bytes"],
        files=document["files"],
        told=document["told"],
    )
