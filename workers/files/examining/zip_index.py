"""The index at the end of a zip, measured before anything larger is made of it.

entries ... | index: one record for each entry | [zip64 end, its locator] | end: where the index is, a comment
"""

import struct
import zipfile
from dataclasses import dataclass
from typing import NamedTuple

from workers.files.examining.content import Content, Unreadable

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
INDEX_MAX_BYTES = 64 * 1024 * 1024
# What `zipfile` makes of each record takes a kilobyte.
_OPENED_MAX_ENTRIES = 20_000
_OPENED_MAX_BYTES = 8 * 1024 * 1024
_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_RECORD = struct.Struct("<4s6H3L5H2L")
_COMMENT_MAX_BYTES = 65_535
_DAMAGED = "The archive's index is damaged or missing."
_FLAG_ENCRYPTED = 1


@dataclass(frozen=True)
class ZipIndex:
    """What the index says: how many entries there are, how large they claim to be, and how many are encrypted."""

    entries: int
    packed_bytes: int
    unpacked_bytes: int
    encrypted: int
    size_bytes: int


class _Place(NamedTuple):
    """Where the index claims to be."""

    size_bytes: int
    end: int


def measure(content: Content) -> ZipIndex:
    """Go through the index without keeping it. Raises `Unreadable` if it is damaged, missing, or too large."""
    if not content.is_whole:
        raise Unreadable("The archive is too large to be looked into.")
    place = _find(content)
    if place.size_bytes > INDEX_MAX_BYTES:
        raise Unreadable("The archive's index is too large to be looked into.")
    index = content.read(place.size_bytes, place.end - place.size_bytes)
    return _count(index)


def open_zip(content: Content) -> zipfile.ZipFile:
    """Open the zip, if its index is small. Raises `Unreadable`."""
    index = measure(content)
    if index.entries > _OPENED_MAX_ENTRIES or index.size_bytes > _OPENED_MAX_BYTES:
        raise Unreadable("The file has too many parts to be looked into.")
    try:
        return zipfile.ZipFile(content.open())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Unreadable(_DAMAGED) from error


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Return at most the first *max_bytes* of a member, empty if there is none of that name.

    Raises `Unreadable` if it is damaged, encrypted, or packed in a way that Office does not use.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        return b""
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise Unreadable("The file is packed in a way that is not read.")
    if info.flag_bits & _FLAG_ENCRYPTED:
        raise Unreadable("The file is protected by a password.")
    try:
        with archive.open(info) as member:
            return member.read(max_bytes)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, struct.error) as error:
        raise Unreadable(f"The file is damaged: its part {name} can't be read.") from error


def _find(content: Content) -> _Place:
    """Find the index by the end of the file, and by zip64's end where the other has no room for the numbers."""
    tail_bytes = min(content.size_bytes, _COMMENT_MAX_BYTES + _END.size)
    tail_at = content.size_bytes - tail_bytes
    tail = content.read(tail_bytes, tail_at)
    at = tail.rfind(b"PK\x05\x06", 0, len(tail) - _END.size + 4)
    if at < 0:
        raise Unreadable(_DAMAGED)
    *_, size_bytes, _offset, _comment = _END.unpack_from(tail, at)
    end = tail_at + at
    return _find_64(content, end) or _checked(size_bytes, end)


def _find_64(content: Content, end: int) -> _Place | None:
    locator = content.read(_END_64_LOCATOR.size, end - _END_64_LOCATOR.size) if end > _END_64_LOCATOR.size else b""
    if not locator.startswith(b"PK\x06\x07"):
        return None
    end_64 = end - _END_64_LOCATOR.size - _END_64.size
    if end_64 < 0:
        raise Unreadable(_DAMAGED)
    said = content.read(_END_64.size, end_64)
    if not said.startswith(b"PK\x06\x06"):
        raise Unreadable(_DAMAGED)
    *_, size_bytes, _offset = _END_64.unpack(said)
    return _checked(size_bytes, end_64)


def _checked(size_bytes: int, end: int) -> _Place:
    if size_bytes > end:
        raise Unreadable(_DAMAGED)
    return _Place(size_bytes, end)


def _count(index: bytes) -> ZipIndex:
    at = entries = packed_bytes = unpacked_bytes = encrypted = 0
    while at < len(index):
        if at + _RECORD.size > len(index) or not index.startswith(b"PK\x01\x02", at):
            raise Unreadable(_DAMAGED, entries=entries)
        fields = _RECORD.unpack_from(index, at)
        encrypted += fields[3] & _FLAG_ENCRYPTED
        packed_bytes += fields[8]
        unpacked_bytes += fields[9]
        entries += 1
        at += _RECORD.size + fields[10] + fields[11] + fields[12]
    return ZipIndex(entries, packed_bytes, unpacked_bytes, encrypted, len(index))
