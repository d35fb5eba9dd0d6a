"""Counting anew what an archive brought: it was written while people worked, so its parts may be of two moments.

A link whose file or room did not come along goes, then a file that no room has, then rooms that were deleted; the
counts that remain are made true. Each function does a page, from an id on, in the transaction of *scope*.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from common.files import ledger, quota
from common.files.collections import FILES, ROOM_FILES, ROOM_MEMBERS, ROOMS
from common.tenancy.collections import TenantCollection
from common.tenancy.scope import OrgScope

PAGE = 200
Page = Callable[[OrgScope, str, datetime], tuple[str, list[str]]]
"""Does a page after an id; returns the last id, or nothing at the end, and the blobs that are doomed."""


def links(scope: OrgScope, after: str, now: datetime) -> tuple[str, list[str]]:
    """Remove the links of a page whose file or room is not there."""
    del now
    page = _page(scope, ROOM_FILES, after)
    files = _ids(scope, FILES, {"_id": {"$in": [one["file_id"] for one in page]}})
    rooms = _ids(scope, ROOMS, {"_id": {"$in": [one["room_id"] for one in page]}, "state": "active"})
    dead = [one["_id"] for one in page if one["file_id"] not in files or one["room_id"] not in rooms]
    if dead:
        scope[ROOM_FILES].delete_many({"_id": {"$in": dead}})
    return _last(page), []


def files(scope: OrgScope, after: str, now: datetime) -> tuple[str, list[str]]:
    """Give the files of a page their true number of links; those without one go."""
    page = _page(scope, FILES, after)
    count = _count(scope, ROOM_FILES, "file_id", page)
    dead = [one for one in page if not count.get(one["_id"])]
    if dead:
        quota.move(scope, stored_bytes=-sum(one["size_bytes"] for one in dead), files=-len(dead))
        scope[FILES].delete_many({"_id": {"$in": [one["_id"] for one in dead]}})
        ledger.doom(scope, [one["blob_id"] for one in dead], now)
    wrong = [one for one in page if count.get(one["_id"], one["links"]) != one["links"]]
    scope[FILES].update_each(({"_id": one["_id"]}, {"$set": {"links": count[one["_id"]]}}) for one in wrong)
    return _last(page), [one["blob_id"] for one in dead]


def rooms(scope: OrgScope, after: str, now: datetime) -> tuple[str, list[str]]:
    """Give the rooms of a page their true counts; those that were deleted go, with who was in them."""
    del now
    page = _page(scope, ROOMS, after)
    in_them, of_them = _count(scope, ROOM_MEMBERS, "room_id", page), _count(scope, ROOM_FILES, "room_id", page)
    dead = [one["_id"] for one in page if one["state"] != "active"]
    if dead:
        scope[ROOM_MEMBERS].delete_many({"room_id": {"$in": dead}})
        scope[ROOMS].delete_many({"_id": {"$in": dead}})
    scope[ROOMS].update_each(
        (
            {"_id": one["_id"]},
            {"$set": {"files": of_them.get(one["_id"], 0), "members": in_them.get(one["_id"], 0)}},
        )
        for one in page
        if one["_id"] not in dead
    )
    return _last(page), []


STEPS: Sequence[tuple[str, Page]] = (("links", links), ("files", files), ("rooms", rooms))
"""What is counted, in its order."""


def _page(scope: OrgScope, collection: TenantCollection, after: str) -> list[dict[str, Any]]:
    return list(scope[collection].find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=PAGE))


def _ids(scope: OrgScope, collection: TenantCollection, where: Mapping[str, Any]) -> set[str]:
    return {one["_id"] for one in scope[collection].find(where, projection={"_id": 1})}


def _count(
    scope: OrgScope, collection: TenantCollection, field: str, of: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    pipeline: list[dict[str, Any]] = [
        {"$match": {field: {"$in": [one["_id"] for one in of]}}},
        {"$group": {"_id": f"${field}", "count": {"$sum": 1}}},
    ]
    return {one["_id"]: one["count"] for one in scope[collection].aggregate(pipeline)}


def _last(page: Sequence[Mapping[str, Any]]) -> str:
    return str(page[-1]["_id"]) if page else ""
