"""Bytes come back as they were sent, in ranges, under safe names, and with nothing that could run."""

from collections.abc import Callable

import pytest

from common.files.collections import AUDIT_LOG
from tests.integration.files.conftest import Room
from tests.integration.web.conftest import problem_of

DATA = bytes(range(256)) * 1_000


def test_a_file_comes_with_its_hash_its_length_and_as_an_attachment(room: Room) -> None:
    result = room.share(DATA, "reports/may 2026.bin")
    shown = room.owner("GET", f"/v1/files/{result['file_id']}").json

    answer = room.read(result["file_id"])

    assert answer.data == DATA
    assert answer.headers["ETag"] == f'"{shown["sha256"]}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "may 2026.bin" in answer.headers["Content-Disposition"]
    assert "reports" not in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("ranges", "status", "expected"),
    [
        ("bytes=0-9", 206, DATA[:10]),
        ("bytes=255990-", 206, DATA[255_990:]),
        ("bytes=-5", 206, DATA[-5:]),
        ("bytes=100-100", 206, DATA[100:101]),
        ("bytes=0-999999999", 206, DATA),
        ("bytes=256000-", 416, None),
        ("bytes=5-2", 416, None),
        ("items=0-5", 416, None),
        ("bytes=0-,0-,0-", 416, None),
        ("bytes=" + ",".join(["0-"] * 1_000), 416, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_ranges_are_served(room: Room, ranges: str, status: int, expected: bytes | None) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]

    answer = room.read(file_id, headers={"Range": ranges})

    if answer.status_code == 200:  # a server may pass over a range that it does not understand (RFC 9110)
        assert status == 416
        assert answer.data == DATA
        return
    assert answer.status_code == status, answer.headers
    if expected is not None:
        assert answer.data == expected
        assert answer.headers["Content-Range"].endswith("/256000")


def test_a_download_goes_on_only_with_the_same_content(room: Room) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]
    etag = room.read(file_id).headers["ETag"]

    same = room.read(file_id, headers={"Range": "bytes=10-19", "If-Range": etag})
    other = room.read(file_id, headers={"Range": "bytes=10-19", "If-Range": '"other"'})

    assert (same.status_code, same.data) == (206, DATA[10:20])
    assert (other.status_code, other.data) == (200, DATA)


def test_a_condition_that_is_too_long_is_refused_by_its_header(room: Room) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]

    problem = problem_of(room.read(file_id, headers={"If-Range": "x" * 1_001}), 422)

    assert [one["header"] for one in problem["errors"]] == ["If-Range"]


@pytest.mark.parametrize("condition", [{}, {"If-Range": '"other"'}], ids=["alone", "of another content"])
def test_a_range_that_is_too_long_is_none_whatever_its_condition(room: Room, condition: dict[str, str]) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]

    answer = room.read(file_id, headers={"Range": "bytes=0-1," + "0" * 1_000} | condition)

    problem_of(answer, 416)
    assert answer.headers["Content-Range"] == "bytes */256000"


def test_who_has_it_already_is_told_so(room: Room) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]
    etag = room.read(file_id).headers["ETag"]

    answer = room.read(file_id, headers={"If-None-Match": etag})

    assert (answer.status_code, answer.data) == (304, b"")


def test_a_look_at_the_headers_brings_no_bytes(room: Room) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]

    answer = room.owner("HEAD", f"/v1/files/{file_id}/content")

    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "256000")


SCRIPTS = {
    "page.html": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "picture.svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "page.xhtml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>1</script></html>',
    "script.js": b"alert(1);\n" * 10,
    "harmless.png": b"<html><body onload=alert(1)>",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_can_run_script_is_bytes_and_never_shown_in_place(room: Room, name: str) -> None:
    file_id = room.share(SCRIPTS[name], name)["file_id"]

    for query in ("", "?inline=true", "?disposition=inline"):
        answer = room.owner("GET", f"/v1/files/{file_id}/content{query}")
        if answer.status_code == 422:
            continue
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.mimetype in {"application/octet-stream", "text/plain", "text/csv"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ['a";x="b.txt', "naïve 中文.txt", "50%.txt", "a;b.txt", "'quoted'.txt", "x" * 255]
)
def test_a_name_comes_back_whole_and_breaks_no_header(room: Room, name: str) -> None:
    from werkzeug.http import parse_options_header

    file_id = room.share(name.encode(), name)["file_id"]

    header = room.read(file_id).headers["Content-Disposition"]

    assert parse_options_header(header)[1]["filename"] == name
    assert "\r" not in header
    assert "\n" not in header


def test_another_organization_and_others_in_the_same_see_nothing(
    room: Room, make_room: Callable[..., Room]
) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]
    for somebody in (make_room(), make_room(room.org_id)):
        for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"):
            theirs = problem_of(somebody.owner("GET", path), 404)
            nobodys = problem_of(somebody.owner("GET", path.replace(file_id, file_id[:-4] + "0000")), 404)
            assert (theirs["title"], theirs["detail"]) == (nobodys["title"], nobodys["detail"])


def test_an_admin_of_the_organization_sees_every_file(room: Room, make_room: Callable[..., Room]) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]
    admin = make_room(room.org_id, "admin")

    assert admin.read(file_id).data == DATA


def test_a_file_shows_the_rooms_that_one_may_look_into(room: Room, make_room: Callable[..., Room]) -> None:
    second, secret = make_room(room.org_id), make_room(room.org_id)
    file_id = room.share(DATA, "a.bin")["file_id"]
    secret.share(DATA, "secret name.bin")
    second.share(DATA, "b.bin")

    seen = second.owner("GET", f"/v1/files/{file_id}").json

    assert [(one["room_id"], one["names"]) for one in seen["rooms"]] == [(second.room_id, ["b.bin"])]
    assert (seen["name"], "secret" in str(seen)) == ("b.bin", False)


def test_files_are_listed_in_pages_that_stay_when_some_are_added(room: Room) -> None:
    for number in range(5):
        room.share(str(number).encode(), f"{number}.txt")
    path = f"/v1/rooms/{room.room_id}/files"
    first = room.owner("GET", f"{path}?limit=2").json
    room.share(b"later", "later.txt")

    second = room.owner("GET", f"{path}?limit=2&cursor={first['next_cursor']}").json

    assert [one["name"] for one in first["items"] + second["items"]] == ["4.txt", "3.txt", "2.txt", "1.txt"]


def test_a_room_that_is_deleted_takes_its_files_along_but_those_of_others(
    room: Room, make_room: Callable[..., Room]
) -> None:
    second = make_room(room.org_id)
    only, both = room.share(b"only here", "a.txt"), room.share(b"both", "b.txt")
    second.share(b"both", "b.txt")

    deleted = room.owner("DELETE", f"/v1/rooms/{room.room_id}")

    problem_of(room.read(only["file_id"]), 404)
    record = room.settle(deleted)
    assert (record.state, record.result) == ("succeeded", {"files": 2})
    assert second.read(both["file_id"]).data == b"both"
    assert second.storage()["stored_bytes"] == 4


def downloads(room: Room) -> int:
    return room.services.scope(room.org_id)[AUDIT_LOG].count_documents({"action": "file.downloaded"})


@pytest.mark.parametrize(
    ("headers", "logged"),
    [
        ({}, 1),
        ({"Range": "bytes=1-"}, 1),
        ({"Range": "BYTES=0-"}, 1),
        ({"Range": "bytes=5-9", "If-Range": '"other"'}, 1),
        ({"Range": "bytes=999999999-"}, 0),
        ({"If-None-Match": "*"}, 0),
    ],
    ids=["whole", "but the first", "capitals", "another content", "none such", "not changed"],
)
def test_whoever_gets_bytes_is_written_down_and_nobody_else(
    room: Room, headers: dict[str, str], logged: int
) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]

    room.read(file_id, headers=headers)

    assert downloads(room) == logged


def test_an_address_elsewhere_is_given_to_who_downloads_only(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]
    monkeypatch.setattr(room.services.blobs, "url", lambda *_, **__: "https://store.example/signed")

    looked = room.owner("HEAD", f"/v1/files/{file_id}/content")
    before = downloads(room)
    got = room.read(file_id, headers={"Range": "bytes=7-9"})

    assert (looked.status_code, "Location" in looked.headers, before) == (200, False, 0)
    assert (got.status_code, got.headers["Location"]) == (307, "https://store.example/signed")
    assert downloads(room) == 1


def test_a_range_beyond_the_end_is_a_problem_of_its_own(room: Room) -> None:
    file_id = room.share(DATA, "a.bin")["file_id"]

    answer = room.read(file_id, headers={"Range": "bytes=999999999-"})

    assert problem_of(answer, 416)["type"] == "/problems/range-not-satisfiable"
    assert answer.headers["Content-Range"] == "bytes */256000"
