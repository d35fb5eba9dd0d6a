"""A zip becomes its files, each with what became of it, and its job ends once."""

import os
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.files.collections import IMPORT_GROUPS
from common.files.import_entries import ImportEntries
from common.files.import_upload import ImportUpload
from tests.integration.files.bytes_checked import blobs_in
from tests.integration.files.conftest import Room, zipped
from tests.integration.files.test_sending import limit
from tests.integration.web.conftest import problem_of

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "files" / "test_files.zip"


def entries(room: Room, job_id: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {"limit": 70, **query} | ({"cursor": cursor} if cursor else {})
        page = room.owner("GET", f"/v1/files/imports/{job_id}/entries", query_string=asked)
        assert page.status_code == 200, page.text
        found += page.json["items"]
        cursor = page.json["next_cursor"]
        if cursor is None:
            return found


def test_each_entry_becomes_a_file_and_its_archive_goes(room: Room) -> None:
    contents = {f"docs/{number}.txt": f"text {number}".encode() for number in range(250)}

    record = room.settle(room.send(zipped(contents), "docs.zip"))

    assert record.state == "succeeded", record.error
    assert {name: record.result[name] for name in ("files", "new", "deduplicated", "refused")} == {
        "files": 250,
        "new": 250,
        "deduplicated": 0,
        "refused": 0,
    }
    assert (record.progress.done, record.progress.total) == (250, 250)
    assert {one["name"]: room.read(one["id"]).data for one in room.files()} == contents
    assert len(blobs_in(room.services)) == 250
    assert room.storage()["stored_bytes"] == sum(map(len, contents.values()))
    assert room.storage()["reserved_bytes"] == 0


def test_the_entries_are_imported_by_children_in_groups(room: Room) -> None:
    answer = room.send(zipped({f"{number}.txt": bytes([number]) for number in range(250)}), "a.zip")

    record = room.settle(answer)

    children = list(room.services.jobs.children.all_of(room.org_id, record.id))
    assert {one.kind for one in children} == {ImportEntries.name}
    assert [one.result["new"] for one in children] == [100, 100, 50]


def test_what_became_of_each_entry_is_listed_in_the_archives_order(room: Room) -> None:
    known = room.share(b"known", "known.txt")["file_id"]
    content = {"a.txt": b"one", "../x": b"bad", "b.txt": b"known", "c.txt": b"one", "": b""} | {
        f"{number}": str(number).encode() for number in range(100)
    }
    content.pop("")

    record = room.settle(room.send(zipped(content), "a.zip"))

    found = entries(room, record.id)
    assert [one["name"] for one in found] == list(content)
    assert [one["number"] for one in found] == list(range(104))
    assert [one["outcome"] for one in found[:4]] == ["new", "refused", "deduplicated", "deduplicated"]
    assert found[2]["file_id"] == known
    assert found[3]["file_id"] == found[0]["file_id"]
    assert "none is . or .." in found[1]["reason"]
    assert [one["name"] for one in entries(room, record.id, outcome="refused")] == ["../x"]
    assert (record.result["new"], record.result["deduplicated"], record.result["refused"]) == (101, 2, 1)


def test_entries_are_pending_until_they_are_imported(room: Room) -> None:
    answer = room.send(zipped({f"{number}.txt": bytes([number]) for number in range(150)}), "a.zip")
    room.slot.step("files")
    room.slot.step("files")

    found = Counter(one["outcome"] for one in entries(room, answer.json["id"]))

    assert found == {"new": 100, "pending": 50}
    shown = room.owner("GET", f"/v1/jobs/{answer.json['id']}").json
    assert (shown["state"], shown["progress"]["done"], shown["progress"]["total"]) == ("waiting", 100, 150)
    assert room.settle(answer).state == "succeeded"


def test_a_zip_is_kept_whole_when_that_is_asked_for(room: Room) -> None:
    content = zipped({"a.txt": b"one"})

    result = room.share(content, "a.zip", query_string={"unpack": "false"})

    (file,) = room.files()
    assert (file["id"], file["name"], file["media_type"]) == (result["file_id"], "a.zip", "application/zip")
    assert room.read(file["id"]).data == content


def test_what_is_called_a_zip_and_is_none_is_a_file(room: Room) -> None:
    assert room.share(b"no zip at all", "a.zip")["new"] == 1


def test_an_office_file_is_no_archive(room: Room) -> None:
    kind = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    types = b'<Types><Override ContentType="' + kind + b'"/></Types>'
    content = zipped({"[Content_Types].xml": types, "word/document.xml": b"<w/>", "_rels/.rels": b"<r/>"})

    room.share(content, "letter.docx")

    (file,) = room.files()
    assert file["media_type"].endswith("wordprocessingml.document")


def test_a_zip_in_a_zip_stays_one(room: Room) -> None:
    inner = zipped({"deep.txt": b"deep"})

    room.settle(room.send(zipped({"inner.zip": inner}), "outer.zip"))

    (file,) = room.files()
    assert (file["name"], file["media_type"]) == ("inner.zip", "application/zip")


def test_a_large_entry_is_streamed_and_known_at_its_end(room: Room) -> None:
    large = os.urandom(3 * 1024 * 1024)
    content = zipped({"a.bin": large, "b.bin": large, "small": b"x"}, zipfile.ZIP_STORED)

    record = room.settle(room.send(content, "a.zip"))

    assert (record.result["new"], record.result["deduplicated"]) == (2, 1)
    assert room.storage()["stored_bytes"] == len(large) + 1
    assert len(blobs_in(room.services)) == 2


def test_damaged_entries_are_refused_alone(room: Room) -> None:
    content = bytearray(zipped({"a.bin": os.urandom(1_000), "b.txt": b"fine"}, zipfile.ZIP_STORED))
    content[100:110] = b"\xff" * 10

    record = room.settle(room.send(bytes(content), "a.zip"))

    assert [(one["outcome"], one["reason"]) for one in entries(room, record.id)] == [
        ("refused", "the entry is damaged"),
        ("new", None),
    ]
    assert [one["name"] for one in room.files()] == ["b.txt"]


def bomb(size_bytes: int) -> bytes:
    content = zipped({"zeros": b"\0" * (20 * 1024 * 1024)})
    start = content.index(b"PK\x01\x02")
    return content[: start + 24] + struct.pack("<L", size_bytes) + content[start + 28 :]


@pytest.mark.parametrize(
    ("content", "code"),
    [(bomb(3 * 1024**3), "archive-too-dense"), (zipped({"a": b"x"})[:-4] + b"PK", "archive-unreadable")],
    ids=["bomb", "cut"],
)
def test_a_trap_fails_the_job_and_leaves_nothing(room: Room, content: bytes, code: str) -> None:
    record = room.settle(room.send(content, "a.zip"))

    if record.state == "succeeded":  # what is cut short is no zip to whoever looks at it: it is kept as it is
        assert code == "archive-unreadable"
        return
    assert record.error is not None
    assert record.error["code"] == code
    assert room.files() == []
    assert not blobs_in(room.services)  # no retry would help, so nothing is kept for one
    assert room.storage()["reserved_bytes"] == 0


def test_entries_beyond_the_quota_are_refused_and_the_others_come(room: Room) -> None:
    content = zipped({f"{number}.bin": os.urandom(1_000) for number in range(10)}, zipfile.ZIP_STORED)
    limit(room.services, len(content) + 4_500)

    record = room.settle(room.send(content, "a.zip"))

    assert (record.state, record.result["new"], record.result["refused"]) == ("succeeded", 4, 6)
    assert {one["reason"] for one in entries(room, record.id, outcome="refused")} == {
        "the organization's storage has no room for it"
    }
    assert room.storage()["stored_bytes"] == 4_000


def test_an_empty_zip_is_an_import_of_nothing(room: Room) -> None:
    record = room.settle(room.send(zipped({}), "a.zip"))

    assert (record.state, record.result["files"]) == ("succeeded", 0)


def test_a_cancelled_import_leaves_what_it_has_and_goes_on_when_it_is_retried(room: Room) -> None:
    answer = room.send(zipped({f"{number}.txt": bytes([number]) for number in range(150)}), "a.zip")
    job_id = answer.json["id"]
    room.slot.step("files")
    room.slot.step("files")
    assert room.owner("POST", f"/v1/jobs/{job_id}/cancel").status_code == 200
    assert room.settle(answer).state == "cancelled"
    assert len(room.files()) == 100

    again = room.owner("POST", f"/v1/jobs/{job_id}/retry")

    record = room.settle(again)
    assert (record.state, record.result["new"]) == ("succeeded", 150)
    assert len(room.files()) == 150


def test_an_import_into_a_room_that_is_deleted_meanwhile_fails_and_leaves_nothing(room: Room) -> None:
    answer = room.send(zipped({f"{number}.txt": bytes([number]) for number in range(150)}), "a.zip")
    room.slot.step("files")
    room.slot.step("files")
    deleted = room.owner("DELETE", f"/v1/rooms/{room.room_id}")
    assert deleted.status_code == 202, deleted.text

    record = room.settle(answer)
    room.settle(deleted)

    assert record.error is not None
    assert (record.state, record.error["code"]) == ("failed", "room-gone")
    assert not blobs_in(room.services)  # not even until the cleaner comes
    assert (room.storage()["stored_bytes"], room.storage()["reserved_bytes"]) == (0, 0)


def test_entries_are_shown_to_who_may_see_the_room(room: Room, make_room: Callable[..., Room]) -> None:
    job_id = room.settle(room.send(zipped({"a": b"x"}), "a.zip")).id
    insider, outsider = make_room(room.org_id), make_room()

    for somebody in (insider, outsider):
        problem_of(somebody.owner("GET", f"/v1/files/imports/{job_id}/entries"), 404)
    assert len(entries(room, job_id)) == 1


def test_the_job_of_something_else_has_no_entries(room: Room) -> None:
    deleted = room.owner("DELETE", f"/v1/rooms/{room.room_id}").json["id"]

    problem = problem_of(room.owner("GET", f"/v1/files/imports/{deleted}/entries"), 404)

    assert problem["detail"] == "There is no such import."


def test_groups_go_with_their_time(room: Room) -> None:
    room.settle(room.send(zipped({"a": b"x"}), "a.zip"))

    (group,) = room.services.scope(room.org_id)[IMPORT_GROUPS].find()
    assert group["expires_at"] > room.services.clock.now()
    assert ImportUpload.name == "files.import"


@pytest.mark.skipif(not REAL.exists(), reason="the recorded files are not beside the project")
def test_a_real_archive(room: Room) -> None:
    record = room.settle(room.send(REAL.read_bytes(), "test_files.zip"))

    with zipfile.ZipFile(REAL) as archive:
        sizes = {one.filename: one.file_size for one in archive.infolist() if not one.is_dir()}
    assert record.state == "succeeded", record.error
    assert {one["name"]: one["size_bytes"] for one in entries(room, record.id)} == sizes
    assert record.result["refused"] == 0
