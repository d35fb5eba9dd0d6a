"""What must be so whatever happened: no file without bytes, no bytes without a file, no quota drift."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from common.files import ledger, quota
from common.files.collections import FILES, IMPORT_GROUPS, LOOSE_BLOBS, ROOM_FILES, ROOMS, STORAGE_USE
from common.ids import OrgId
from common.services import Services
from common.tenancy.scope import OrgScope


def check(services: Services, org_ids: Iterable[OrgId], stored: Iterable[str]) -> None:
    """Raise `AssertionError` with all that is not so; *stored* are the ids of all blobs that the store has."""
    named: set[str] = set()
    wrong: list[str] = []
    for org_id in org_ids:
        scope = services.scope(org_id)
        named |= {one["blob_id"] for one in scope[FILES].find()}
        named |= {blob_id for one in scope[LOOSE_BLOBS].find() for blob_id in ledger.blobs_in(one)}
        wrong += [f"{org_id}: {one}" for one in _wrong(services, scope)]
        mine = services.control.archives.find({"org_id": org_id, "blob_id": {"$exists": True}})
        named |= {one["blob_id"] for one in mine}
    wrong += [f"bytes without a file: {one}" for one in set(stored) - named]
    assert not wrong, "\n".join(wrong)


def loose(services: Services, org_ids: Iterable[OrgId]) -> list[dict[str, Any]]:
    """Return what the ledger still has to do: all but the bytes that were deleted once."""
    found = [one for org_id in org_ids for one in services.scope(org_id)[LOOSE_BLOBS].find()]
    return [one for one in found if not one.get("deleted")]


def _wrong(services: Services, scope: OrgScope) -> Iterator[str]:
    files = {one["_id"]: one for one in scope[FILES].find()}
    links = list(scope[ROOM_FILES].find())
    rooms = {one["_id"]: one for one in scope[ROOMS].find()}
    yield from _bytes(services, files.values())
    for file_id, count in Counter(one["file_id"] for one in links).items():
        if file_id not in files:
            yield f"a link to no file: {file_id}"
        elif files[file_id]["links"] != count:
            yield f"{file_id} has {count} links and says {files[file_id]['links']}"
    linked = {one["file_id"] for one in links}
    yield from (f"a file that no room has: {file_id}" for file_id in files if file_id not in linked)
    here = Counter(one["room_id"] for one in links)
    for room_id, room in rooms.items():
        if room["state"] == "active" and room["files"] != here[room_id]:
            yield f"room {room_id} has {here[room_id]} files and says {room['files']}"
    yield from (f"a link in no room: {one}" for one in links if one["room_id"] not in rooms)
    use = scope[STORAGE_USE].find_one({"_id": scope.org_id})
    counted = quota.count(scope)
    if use is not None:
        yield from (
            f"{name} is {counted[name]}, and {use[name]} is said"
            for name in ("stored_bytes", "reserved_bytes", "files")
            if use[name] != counted[name]
        )
    for group in scope[IMPORT_GROUPS].find({"state": "done"}):
        for entry in group["entries"]:
            if (entry["file_id"] is None) == (entry["outcome"] != "refused"):
                yield f"an entry without a file: {entry}"


def _bytes(services: Services, files: Iterable[dict[str, Any]]) -> Iterator[str]:
    for one in files:
        if not services.blobs.exists(one["blob_id"]):
            yield f"a file without bytes: {one['_id']}"
            continue
        with services.blobs.open(one["blob_id"]) as content:
            digest = hashlib.sha256()
            while chunk := content.read(1024 * 1024):
                digest.update(chunk)
        if digest.hexdigest() != one["sha256"]:
            yield f"other bytes than were sent: {one['_id']}"


def blobs_in(services: Services) -> set[str]:
    """Return the ids of all blobs in the local store, whole or not."""
    root = services.settings.data_dir / "blobs"
    return {one.name.partition(".")[0] for one in root.rglob("*") if one.is_file()}
