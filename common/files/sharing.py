"""Putting files into rooms, and taking them out: a content is stored once, and goes with its last link.

A batch is decided and written in one transaction, which moves the room, the quota and the audit log with it. Who
meets another that shares or removes the same content at the same moment repeats it all on what is so then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import BulkWriteError

from common.errors import NotFound
from common.files import audit_log, ledger, quota, rooms
from common.files.audit_log import Action, Entry
from common.files.collections import FILES, ROOM_FILES
from common.files.findings import UNKNOWN_TYPE, Findings
from common.files.linking import Linking
from common.ids import JobId, new_id
from common.tenancy.scope import OrgScope

_DUPLICATE_KEY = 11000


class Overtaken(Exception):
    """A content that was there when we looked is gone, or the other way round; nothing was written."""


@dataclass(frozen=True)
class Content:
    """Bytes to share under *name*: known by their hash, and stored in *blob_id* if we have them.

    *findings* belong to the bytes that we have.
    """

    name: str
    sha256: str
    size_bytes: int
    blob_id: str | None = None
    findings: Findings | None = None


@dataclass(frozen=True)
class Shared:
    """What became of a content: the file that has it, and whether its bytes and its name were there already.

    *is_named* is false where the file has as many names in the room as may be.
    """

    file_id: str
    deduplicated: bool
    is_named: bool = True


@dataclass(frozen=True)
class Sharing:
    """What became of a batch, and the blobs that it doomed: delete them after the commit (`ledger.delete`)."""

    shared: Sequence[Shared]
    doomed: Sequence[str]


@dataclass(frozen=True)
class Deed:
    """Who shares or removes, and on which occasion; for the audit log."""

    actor_id: str
    request_id: str
    at: datetime
    job_id: JobId | None = None


def known(scope: OrgScope, hashes: Iterable[str]) -> set[str]:
    """Return those of *hashes* whose bytes are stored."""
    found = scope[FILES].find({"sha256": {"$in": list(set(hashes))}}, projection={"sha256": 1, "_id": 0})
    return {one["sha256"] for one in found}


def share(scope: OrgScope, room_id: str, contents: Sequence[Content], deed: Deed) -> Sharing:
    """Link *contents* into a room, in the transaction of *scope*; store what is new, give up what is not.

    Raises `Overtaken` for a content that is stored no more and that we don't have, `NotFound` for a room that is
    gone.
    """
    stored = _stored(scope, contents)
    new = _new(contents, stored, deed)
    files = {**stored, **{sha256: one["_id"] for sha256, one in new.items()}}
    linking = Linking(room_id, _links(scope, room_id, stored.values()), by=deed.actor_id, at=deed.at)
    named = [linking.add(files[one.sha256], one.name) for one in contents]
    used = {one["blob_id"] for one in new.values()}
    unneeded = {one.blob_id for one in contents if one.blob_id is not None}.difference(used)

    rooms.require_active(scope, room_id, files=len(linking.fresh))
    ledger.settle(scope, kept=used, unneeded=unneeded, now=deed.at, job_id=deed.job_id)
    quota.move(scope, stored_bytes=sum(one["size_bytes"] for one in new.values()), files=len(new))
    _insert_files(scope, list(new.values()))
    _write_links(scope, linking, known=frozenset(stored.values()))
    audit_log.append(scope, *_added(contents, linking, frozenset(new), deed))
    firsts = _firsts(contents, frozenset(new))
    shared = [
        Shared(files[one.sha256], number not in firsts, is_named)
        for number, (one, is_named) in enumerate(zip(contents, named, strict=True))
    ]
    return Sharing(shared, sorted(unneeded))


def unlink(scope: OrgScope, room_id: str, file_ids: Sequence[str], deed: Deed) -> list[str]:
    """Take files out of a room, in the transaction of *scope*; return the blobs that are doomed by that.

    A file that is not in the room is passed over.
    """
    here = {"room_id": room_id, "file_id": {"$in": list(file_ids)}}
    links = list(scope[ROOM_FILES].find(here))
    if not links:
        return []
    ids = [one["file_id"] for one in links]
    scope[ROOM_FILES].delete_many({"_id": {"$in": [one["_id"] for one in links]}})
    scope[FILES].update_many({"_id": {"$in": ids}}, {"$inc": {"links": -1}})
    last = list(scope[FILES].find({"_id": {"$in": ids}, "links": {"$lte": 0}}))
    quota.move(scope, stored_bytes=-sum(one["size_bytes"] for one in last), files=-len(last))
    if last:
        scope[FILES].delete_many({"_id": {"$in": [one["_id"] for one in last]}})
    blobs = [one["blob_id"] for one in last]
    ledger.doom(scope, blobs, deed.at)
    audit_log.append(scope, _removed(links, room_id, deed))
    return blobs


def remove(scope: OrgScope, room_id: str, file_id: str, deed: Deed) -> list[str]:
    """Take one file out of a room that is there; returns like `unlink`. Raises `NotFound`."""

    def work(inner: OrgScope) -> list[str]:
        if inner[ROOM_FILES].find_one({"room_id": room_id, "file_id": file_id}, projection={"_id": 1}) is None:
            raise NotFound("There is no such file in this room.")
        rooms.require_active(inner, room_id, files=-1)
        return unlink(inner, room_id, [file_id], deed)

    return scope.transaction(work)


def _stored(scope: OrgScope, contents: Sequence[Content]) -> dict[str, str]:
    """Return the files that have *contents*, by hash."""
    hashes = list({one.sha256 for one in contents})
    found = scope[FILES].find({"sha256": {"$in": hashes}}, projection={"sha256": 1})
    return {one["sha256"]: str(one["_id"]) for one in found}


def _new(contents: Sequence[Content], stored: Mapping[str, str], deed: Deed) -> dict[str, dict[str, Any]]:
    """Return the documents of contents that are not stored, by hash. Raises `Overtaken` for one that we lack."""
    new: dict[str, dict[str, Any]] = {}
    for one in contents:
        if one.sha256 not in stored and one.sha256 not in new and one.blob_id is not None:
            new[one.sha256] = _file(one, deed)
    if any(one.sha256 not in stored and one.sha256 not in new for one in contents):
        raise Overtaken
    return new


def _firsts(contents: Sequence[Content], new: frozenset[str]) -> set[int]:
    """Return the numbers of those that brought a new content; later ones found it there."""
    seen: dict[str, int] = {}
    for number, one in enumerate(contents):
        if one.sha256 in new:
            seen.setdefault(one.sha256, number)
    return set(seen.values())


def _file(content: Content, deed: Deed) -> dict[str, Any]:
    findings = content.findings or Findings(UNKNOWN_TYPE, {})
    return {
        "_id": new_id(),
        "sha256": content.sha256,
        "size_bytes": content.size_bytes,
        "blob_id": content.blob_id,
        "media_type": findings.media_type,
        "found": dict(findings.found),
        "problem": findings.problem,
        "links": 1,
        "created_at": deed.at,
    }


def _links(scope: OrgScope, room_id: str, file_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    these = list(file_ids)
    if not these:
        return {}
    here = {"room_id": room_id, "file_id": {"$in": these}}
    return {one["file_id"]: one for one in scope[ROOM_FILES].find(here)}


def _insert_files(scope: OrgScope, files: Sequence[Mapping[str, Any]]) -> None:
    if not files:
        return
    try:
        scope[FILES].insert_many(files)
    except BulkWriteError as error:
        if any(one["code"] == _DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise Overtaken from error
        raise


def _write_links(scope: OrgScope, linking: Linking, *, known: frozenset[str]) -> None:
    scope[FILES].update_each(
        ({"_id": file_id}, {"$inc": {"links": 1}}) for file_id in linking.fresh if file_id in known
    )
    if linking.fresh:
        scope[ROOM_FILES].insert_many(linking.fresh.values())
    scope[ROOM_FILES].update_each(
        ({"_id": link_id}, {"$addToSet": {"names": {"$each": names}}}) for link_id, names in linking.names.items()
    )


def _added(contents: Sequence[Content], linking: Linking, new: frozenset[str], deed: Deed) -> list[Entry]:
    """Return what the audit log says of a batch: one entry, however many files it has."""
    told = linking.told
    if len(told) > 1:
        detail = {"files": len(told), "file_ids": [file_id for file_id, _ in told]}
        return [_entry("files.added", linking.room_id, deed, None, detail)]
    is_new = any(one.sha256 in new for one in contents)
    return [
        _entry("file.added", linking.room_id, deed, file_id, {"name": name, "deduplicated": not is_new})
        for file_id, name in told
    ]


def _removed(links: Sequence[Mapping[str, Any]], room_id: str, deed: Deed) -> Entry:
    ids = [one["file_id"] for one in links]
    if len(ids) > 1:
        return _entry("files.removed", room_id, deed, None, {"files": len(ids), "file_ids": ids})
    return _entry("file.removed", room_id, deed, ids[0], {"names": links[0]["names"][:10]})


def _entry(action: Action, room_id: str, deed: Deed, file_id: str | None, detail: Mapping[str, Any]) -> Entry:
    return Entry(
        action=action,
        room_id=room_id,
        file_id=file_id,
        actor_id=deed.actor_id,
        at=deed.at,
        request_id=deed.request_id,
        job_id=deed.job_id,
        detail=detail,
    )
