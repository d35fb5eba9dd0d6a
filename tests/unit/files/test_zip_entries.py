"""Zips as others make them, also those who mean harm."""

import io
import stat
import struct
import zipfile
from collections.abc import Mapping

import pytest

from common.errors import JobFailed
from workers.files import zip_entries
from workers.files.zip_entries import Damaged, ZipEntry, list_entries, read_entry


def zipped(entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def listed(content: bytes) -> list[ZipEntry]:
    return list_entries(io.BytesIO(content), len(content))


def read(content: bytes, entry: ZipEntry) -> bytes:
    return b"".join(read_entry(io.BytesIO(content), entry))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_entries_are_listed_in_their_order_and_read_as_they_were(method: int) -> None:
    contents = {"a.txt": b"one", "b/c.bin": bytes(range(256)) * 5_000, "empty": b""}
    content = zipped(contents, method)

    entries = listed(content)

    assert [one.name for one in entries] == list(contents)
    assert {one.name: read(content, one) for one in entries} == contents
    assert [ZipEntry.restored(one.document()) for one in entries] == entries


def test_folders_are_no_entries() -> None:
    assert [one.name for one in listed(zipped({"folder/": b"", "folder/a": b"a"}))] == ["folder/a"]


def test_a_zip_behind_something_else_is_read() -> None:
    content = b"#!/bin/sh\nexit\n" + zipped({"a": b"one"})

    assert [read(content, one) for one in listed(content)] == [b"one"]


def test_a_zip_with_a_comment_and_one_in_the_large_format_are_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("large", "w", force_zip64=True) as entry:
            entry.write(b"one")
        archive.comment = b"said of it"

    assert [read(file.getvalue(), one) for one in listed(file.getvalue())] == [b"one"]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../b", "C:\\x", "a\\..\\b", "\x1b[2J", "x" * 300, "a/" * 60 + "b"]
)
def test_a_name_that_leads_elsewhere_is_refused_and_the_others_are_not(name: str) -> None:
    bad, good = listed(zipped({name: b"bad", "good": b"good"}))

    assert bad.problem is not None
    assert bad.problem.startswith("a name")
    assert (good.name, good.problem) == ("good", None)


def test_a_name_with_nul_is_refused() -> None:
    content = zipped({"file.csvXpng": b"bad"}).replace(b"file.csvXpng", b"file.csv\0png")

    (entry,) = listed(content)

    assert entry.problem is not None


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    (entry,) = listed(file.getvalue())

    assert entry.problem == "is a link or a device, and no file"


def test_an_encrypted_entry_is_refused() -> None:
    content = bytearray(zipped({"a": b"one"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1

    assert listed(bytes(content))[0].problem == "is encrypted"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_entry_packed_in_a_way_that_takes_memory_at_will_is_refused(method: int) -> None:
    assert listed(zipped({"a": b"one" * 100}, method))[0].problem is not None


def test_a_large_formats_end_that_is_none_does_not_hide_how_many_entries_there_are() -> None:
    content = zipped({"a": b"one"})
    end = content.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)

    for lies in (locator, b"\0" * 56 + locator):
        with pytest.raises(JobFailed) as refused:
            listed(content[:end] + lies + content[end:])
        assert refused.value.shown_code == "archive-unreadable"


def test_a_locator_and_nothing_else_is_no_zip() -> None:
    with pytest.raises(JobFailed) as refused:
        listed(struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + b"PK\x05\x06" + b"\0" * 18)
    assert refused.value.shown_code == "archive-unreadable"


def test_equal_names_are_two_entries() -> None:
    content = zipped({"a1": b"one", "a2": b"two"}).replace(b"a1", b"aa").replace(b"a2", b"aa")

    assert [read(content, one) for one in listed(content)] == [b"one", b"two"]


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + b"x" * 100, b"PK\x05\x06", b"x" * 70_000])
def test_what_is_no_zip_is_refused(content: bytes) -> None:
    with pytest.raises(JobFailed, match="zip"):
        listed(content)


def test_a_zip_cut_at_any_place_is_refused_or_whole() -> None:
    whole = zipped({"a": b"one" * 50, "b": b"two" * 50})
    for length in range(len(whole)):
        with pytest.raises(JobFailed):
            listed(whole[:length])


def test_a_small_archive_of_gigabytes_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("zeros", b"\0" * (20 * 1024 * 1024))
    content = file.getvalue()
    entry = content[content.index(b"PK\x01\x02") : content.index(b"PK\x05\x06")]
    forged = content.replace(entry, entry[:24] + struct.pack("<L", 5 * 1024**3 // 2) + entry[28:])

    with pytest.raises(JobFailed, match="100 times"):
        listed(forged)


def test_a_dense_archive_that_stays_small_is_taken() -> None:
    assert len(listed(zipped({"zeros": b"\0" * (20 * 1024 * 1024)}))) == 1


def test_entries_over_one_another_are_refused() -> None:
    content = bytearray(zipped({"a": b"x" * 1000, "b": b"y" * 1000}, zipfile.ZIP_STORED))
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = struct.pack("<L", 0)

    with pytest.raises(JobFailed) as refused:
        listed(bytes(content))

    assert refused.value.shown_code == "archive-overlaps"


def test_more_entries_than_may_be_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_entries, "ENTRIES_MAX", 10)

    assert len(listed(zipped({f"{n}": b"" for n in range(10)}))) == 10
    with pytest.raises(JobFailed, match="at most 10 entries"):
        listed(zipped({f"{n}": b"" for n in range(11)}))


def test_a_directory_of_more_entries_than_its_end_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(zipped({f"{n}": b"" for n in range(11)}))
    end = content.rindex(b"PK\x05\x06")
    content[end + 8 : end + 12] = struct.pack("<2H", 1, 1)
    monkeypatch.setattr(zip_entries, "ENTRIES_MAX", 10)

    with pytest.raises(JobFailed, match="at most 10 entries"):
        listed(bytes(content))


@pytest.mark.slow
def test_a_million_empty_entries_are_refused() -> None:
    header = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = header * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)

    with pytest.raises(JobFailed, match="at most"):
        listed(directory + end)


def forged(content: bytes, at: int, value: bytes) -> bytes:
    """Change a field of the first entry, in its header and in the directory alike."""
    changed = bytearray(content)
    here = changed.index(b"PK\x01\x02") + at + 2
    changed[here : here + len(value)] = value
    return bytes(changed)


def test_an_entry_that_unpacks_to_more_than_it_says_is_cut_and_refused() -> None:
    content = forged(zipped({"a": b"x" * 100_000}), 22, struct.pack("<L", 10))
    (entry,) = listed(content)

    with pytest.raises(Damaged):
        read(content, entry)


def test_an_entry_that_unpacks_to_less_than_it_says_is_refused() -> None:
    content = forged(zipped({"a": b"x" * 1000}), 22, struct.pack("<L", 100_000))
    (entry,) = listed(content)

    with pytest.raises(Damaged):
        read(content, entry)


def test_an_entry_with_another_checksum_is_refused() -> None:
    content = zipped({"a": b"x" * 1000}, zipfile.ZIP_STORED).replace(b"x" * 1000, b"y" * 1000)

    with pytest.raises(Damaged):
        read(content, listed(content)[0])


def test_garbage_in_the_middle_damages_one_entry_only() -> None:
    content = bytearray(zipped({"a": bytes(range(256)) * 100, "b": b"fine"}))
    content[60:90] = b"\xff" * 30
    bad, good = listed(bytes(content))

    with pytest.raises(Damaged):
        read(bytes(content), bad)
    assert read(bytes(content), good) == b"fine"
