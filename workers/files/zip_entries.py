"""The entries of a zip: listed within bounds before anything is unpacked, and read one at a time.

Nothing that an archive says of itself is believed beyond these bounds: how many entries it names, how large they
become, where they lie. An entry is read to the size that it claims and no further, and its checksum must be right.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

from common.errors import JobFailed
from common.files.names import clean_name

ENTRIES_MAX = 50_000
DIRECTORY_MAX_BYTES = 32 * 1024 * 1024
UNPACKED_MAX_BYTES = 256 * 1024**3
RATIO_MAX = 100
RATIO_FROM_BYTES = 100 * 1024 * 1024
"""A small archive may be as dense as it likes; what becomes large may be so many times its size."""

_HEADER = struct.Struct("<4s5H3L2H")
_HEADER_MARK, _DIRECTORY_MARK = b"PK\x03\x04", b"PK\x01\x02"
_END, _END_MARK = struct.Struct("<4s4H2LH"), b"PK\x05\x06"
_END64, _LOCATOR = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_LOCATOR_MARK, _END64_MARK = b"PK\x06\x07", b"PK\x06\x06"
_COMMENT_MAX_BYTES = 65_535
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Not bzip2, which the library unpacks without a bound, and not LZMA, whose memory is the archive's to say."""
_ENCRYPTED = 0x1
_UNIX = 3
_CHUNK_BYTES = 1024 * 1024
_SMALL_PACKED_MAX_BYTES = _CHUNK_BYTES + 64 * 1024
"""What packs to more than itself does so by a few bytes in a thousand."""


class Damaged(Exception):
    """An entry can't be read as the archive describes it; the sentence says why."""


@dataclass(frozen=True)
class ZipEntry:
    """A file in the archive; *problem* is why it is refused, if that is known before it is read."""

    name: str
    offset: int
    size_bytes: int
    packed_bytes: int
    crc: int
    method: int
    flags: int
    problem: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dict(vars(self))

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "ZipEntry":
        """Return the entry that `document` gave."""
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})


def list_entries(file: BinaryIO, size_bytes: int) -> list[ZipEntry]:
    """Return the files in the archive, in its order. Raises `JobFailed` for an archive that is none, or a trap."""
    try:
        _bound_directory(file, size_bytes)
        with zipfile.ZipFile(file) as archive:
            found = [_entry(one) for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError) as error:
        raise JobFailed("This is no zip that can be read.", code="archive-unreadable") from error
    if len(found) > ENTRIES_MAX:
        raise _too_many()
    _refuse_traps(found, size_bytes)
    return found


def read_entry(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """Go through the bytes of *entry*, at most a MiB at a time. Raises `Damaged`."""
    try:
        file.seek(entry.offset)
        head = _HEADER.unpack(file.read(_HEADER.size))
        if head[0] != _HEADER_MARK:
            raise Damaged("the archive has no such entry where it says so")
        file.seek(head[9] + head[10], 1)
        if entry.method == zipfile.ZIP_DEFLATED and entry.size_bytes <= _CHUNK_BYTES:
            yield _inflated(file.read(min(entry.packed_bytes, _SMALL_PACKED_MAX_BYTES)), entry)
        else:
            yield from _unpacked(file, entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, RuntimeError) as error:
        raise Damaged("the entry is damaged") from error


def _inflated(packed: bytes, entry: ZipEntry) -> bytes:
    """Unpack a small entry at once; the library takes four times as long, and archives have thousands."""
    content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.size_bytes + 1)
    if len(content) != entry.size_bytes or zlib.crc32(content) != entry.crc:
        raise Damaged("the entry is not as the archive says")
    return content


def _unpacked(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    info = zipfile.ZipInfo()
    info.compress_type, info.compress_size = entry.method, entry.packed_bytes
    info.file_size, info.CRC = entry.size_bytes, entry.crc
    count = 0
    with zipfile.ZipExtFile(cast("Any", file), "r", info) as content:
        while chunk := content.read(_CHUNK_BYTES):
            count += len(chunk)
            yield chunk
    if count != entry.size_bytes:
        raise Damaged("the entry is shorter than the archive says")


def _bound_directory(file: BinaryIO, size_bytes: int) -> None:
    """Refuse a directory of more than may be, before it is made into objects."""
    start = max(0, size_bytes - _END.size - _COMMENT_MAX_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0 or at + _END.size > len(tail):
        raise JobFailed("This is no whole zip: its end is missing.", code="archive-unreadable")
    end = _END.unpack_from(tail, at)
    count, directory_bytes, ends_at = end[4], end[5], start + at
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(_LOCATOR_MARK):
        file.seek(max(0, ends_at - _LOCATOR.size - _END64.size))
        end64 = _END64.unpack(file.read(_END64.size))
        if end64[0] != _END64_MARK:  # the library would go by the other end, and we by this
            raise JobFailed("This is no zip that can be read.", code="archive-unreadable")
        count, directory_bytes, ends_at = end64[7], end64[8], ends_at - _LOCATOR.size - _END64.size
    if count > ENTRIES_MAX or directory_bytes > DIRECTORY_MAX_BYTES:
        raise _too_many()
    file.seek(max(0, ends_at - directory_bytes))
    if file.read(directory_bytes).count(_DIRECTORY_MARK) > ENTRIES_MAX:  # whatever its end says
        raise _too_many()


def _entry(info: zipfile.ZipInfo) -> ZipEntry:
    entry = ZipEntry(
        name=info.orig_filename[:1_000],
        offset=info.header_offset,
        size_bytes=info.file_size,
        packed_bytes=info.compress_size,
        crc=info.CRC,
        method=info.compress_type,
        flags=info.flag_bits,
    )
    try:
        name = clean_name(info.orig_filename)
    except ValueError as error:
        shown = entry.name.encode("utf-8", "replace").decode()
        return replace(entry, name=shown, problem=str(error))
    return replace(entry, name=name, problem=_problem(info))


def _problem(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind and kind != stat.S_IFREG:
        return "is a link or a device, and no file"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return "is packed by a method that is not known here"
    return None


def _refuse_traps(entries: Sequence[ZipEntry], size_bytes: int) -> None:
    total_bytes = sum(one.size_bytes for one in entries)
    if total_bytes > max(RATIO_FROM_BYTES, RATIO_MAX * size_bytes) or total_bytes > UNPACKED_MAX_BYTES:
        raise JobFailed(
            f"Unpacked, this archive has {total_bytes} bytes, more than {RATIO_MAX} times its own {size_bytes}."
            " Send it in parts, or with unpack=false.",
            code="archive-too-dense",
        )
    free_from = 0
    for one in sorted(entries, key=lambda entry: entry.offset):
        if one.offset < free_from:
            raise JobFailed("Entries of this archive lie over one another.", code="archive-overlaps")
        free_from = one.offset + _HEADER.size + one.packed_bytes
    if free_from > size_bytes:
        raise JobFailed("Entries of this archive lie beyond its end.", code="archive-unreadable")


def _too_many() -> JobFailed:
    return JobFailed(
        f"An archive has at most {ENTRIES_MAX} entries, in a directory of {DIRECTORY_MAX_BYTES} bytes.",
        code="archive-too-many",
    )
