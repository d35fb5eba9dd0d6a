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
from common.files.findings import Findings
from common.ids import JobId, new_id
from common.tenancy.scope import OrgScope

NAMES_MAX = 100
"""Names that one content may have in a room."""
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


def share(scope: OrgScope, room_id: str, contents: Sequence[Content], deed: Deed) -> list[Shared]:
    """Link *contents* into a room, in the transaction of *scope*; store what is new, give up what is not.

    Bytes that we have and nobody needs are doomed; delete them after the commit (`ledger.delete`). Raises
    `Overtaken` for a content that is stored no more and that we don't have, `NotFound` for a room that is gone.
    """
    stored = _stored(scope, contents)
    new = _new(contents, stored, deed)
    links = _links(scope, room_id, [one["_id"] for one in stored.values()])
    linked = _linked(contents, {**stored, **new}, links, room_id, deed)
    used = {one["blob_id"] for one in new.values()}
    ours = [one.blob_id for one in contents if one.blob_id is not None]

    rooms.require_active(scope, room_id, files=len(linked.fresh))
    unneeded = {one for one in ours if one not in used}
    ledger.settle(scope, kept=used, unneeded=unneeded, now=deed.at, job_id=deed.job_id)
    quota.move(scope, stored_bytes=sum(one["size_bytes"] for one in new.values()), files=len(new))
    _insert_files(scope, list(new.values()))
    scope[FILES].update_each(
        ({"_id": file_id}, {"$inc": {"links": 1}}) for file_id in linked.fresh if file_id not in linked.new_ids
    )
    _write_links(scope, linked)
    audit_log.append(scope, *_added(contents, linked, room_id, deed))
    return [
        Shared(linked.files[one.sha256], number not in linked.firsts, number not in linked.nameless)
        for number, one in enumerate(contents)
    ]


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


@dataclass(frozen=True)
class _Linked:
    """The links of a batch: *fresh* by file, further *names* by link; *firsts* are those that store bytes."""

    files: Mapping[str, str]
    new_ids: frozenset[str]
    fresh: Mapping[str, dict[str, Any]]
    names: Mapping[str, list[str]]
    firsts: frozenset[int]
    nameless: frozenset[int]
    told: Sequence[tuple[int, str]]


def _stored(scope: OrgScope, contents: Sequence[Content]) -> dict[str, dict[str, Any]]:
    hashes = list({one.sha256 for one in contents})
    fields = {"sha256": 1, "size_bytes": 1}
    return {one["sha256"]: one for one in scope[FILES].find({"sha256": {"$in": hashes}}, projection=fields)}


def _new(
    contents: Sequence[Content], stored: Mapping[str, Mapping[str, Any]], deed: Deed
) -> dict[str, dict[str, Any]]:
    """Return the documents of contents that are not stored, by hash. Raises `Overtaken` for one that we lack."""
    new: dict[str, dict[str, Any]] = {}
    for one in contents:
        if one.sha256 not in stored and one.sha256 not in new and one.blob_id is not None:
            new[one.sha256] = _file(one, deed)
    if any(one.sha256 not in stored and one.sha256 not in new for one in contents):
        raise Overtaken
    return new


def _file(content: Content, deed: Deed) -> dict[str, Any]:
    findings = content.findings or Findings("application/octet-stream", {})
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


def _links(scope: OrgScope, room_id: str, file_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    if not file_ids:
        return {}
    here = {"room_id": room_id, "file_id": {"$in": list(file_ids)}}
    return {one["file_id"]: one for one in scope[ROOM_FILES].find(here)}


def _linked(
    contents: Sequence[Content],
    files: Mapping[str, Mapping[str, Any]],
    links: Mapping[str, Mapping[str, Any]],
    room_id: str,
    deed: Deed,
) -> _Linked:
    """Go through *contents* in their order, each against what the ones before it left."""
    new_ids = frozenset(one["_id"] for one in files.values() if "blob_id" in one)
    fresh: dict[str, dict[str, Any]] = {}
    names: dict[str, list[str]] = {}
    have = {file_id: list(one["names"]) for file_id, one in links.items()}
    firsts, nameless, told = set[int](), set[int](), list[tuple[int, str]]()
    seen = set[str]()
    for number, one in enumerate(contents):
        file_id = str(files[one.sha256]["_id"])
        if file_id in new_ids and file_id not in seen:
            firsts.add(number)
        seen.add(file_id)
        if file_id not in have:
            have[file_id] = [one.name]
            fresh[file_id] = _link(room_id, file_id, have[file_id], deed)
            told.append((number, file_id))
        elif one.name not in have[file_id]:
            if len(have[file_id]) >= NAMES_MAX:
                nameless.add(number)
                continue
            have[file_id].append(one.name)
            told.append((number, file_id))
            if file_id not in fresh:
                names.setdefault(links[file_id]["_id"], []).append(one.name)
    by_hash = {sha256: str(one["_id"]) for sha256, one in files.items()}
    return _Linked(by_hash, new_ids, fresh, names, frozenset(firsts), frozenset(nameless), told)


def _link(room_id: str, file_id: str, names: list[str], deed: Deed) -> dict[str, Any]:
    return {
        "_id": new_id(),
        "room_id": room_id,
        "file_id": file_id,
        "names": names,
        "added_by": deed.actor_id,
        "added_at": deed.at,
    }


def _insert_files(scope: OrgScope, files: Sequence[Mapping[str, Any]]) -> None:
    if not files:
        return
    try:
        scope[FILES].insert_many(files)
    except BulkWriteError as error:
        if any(one["code"] == _DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise Overtaken from error
        raise


def _write_links(scope: OrgScope, linked: _Linked) -> None:
    if linked.fresh:
        scope[ROOM_FILES].insert_many(linked.fresh.values())
    scope[ROOM_FILES].update_each(
        ({"_id": link_id}, {"$addToSet": {"names": {"$each": names}}}) for link_id, names in linked.names.items()
    )


def _added(contents: Sequence[Content], linked: _Linked, room_id: str, deed: Deed) -> list[Entry]:
    """Return what the audit log says of a batch: one entry, however many files it has."""
    if len(linked.told) > 1:
        detail = {"files": len(linked.told), "file_ids": [file_id for _, file_id in linked.told]}
        return [_entry("files.added", room_id, deed, None, detail)]
    return [
        _entry(
            "file.added",
            room_id,
            deed,
            file_id,
            {"name": contents[number].name, "deduplicated": number not in linked.firsts},
        )
        for number, file_id in linked.told
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
