"""Files are sent in one pass, and what can't be kept leaves nothing."""

import hashlib
import io
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.errors import StorageUnavailable
from common.files import ledger
from common.files.collections import LOOSE_BLOBS
from common.files.import_upload import ImportUpload
from common.services import Services
from tests.integration.files.bytes_checked import blobs_in, loose
from tests.integration.files.conftest import Room
from tests.integration.web.conftest import Member, problem_of

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


def test_a_raw_body_becomes_a_file_of_the_room(room: Room) -> None:
    result = room.share(b"a,b\n1,2\n3,4\n", "reports/may.csv")

    assert (result["files"], result["new"], result["deduplicated"], result["refused"]) == (1, 1, 0, 0)
    (file,) = room.files()
    assert file["id"] == result["file_id"]
    assert (file["name"], file["size_bytes"], file["media_type"]) == ("reports/may.csv", 12, "text/csv")
    assert file["sha256"] == hashlib.sha256(b"a,b\n1,2\n3,4\n").hexdigest()
    assert (file["state"], file["found"]["rows"], file["found"]["columns"]) == ("ready", 3, 2)
    assert room.read(file["id"]).data == b"a,b\n1,2\n3,4\n"
    assert blobs_in(room.services)


def test_a_form_becomes_the_same_file(room: Room) -> None:
    record = room.settle(room.send_form(b"hello", "a.txt"))
    named = room.settle(room.send_form(b"other", "b.txt", fields={"name": "letters/c.txt"}))

    assert [record.state, named.state] == ["succeeded", "succeeded"]
    assert [one["name"] for one in room.files()] == ["letters/c.txt", "a.txt"]


def test_an_empty_file_is_a_file(room: Room) -> None:
    result = room.share(b"", "empty.txt", content_length=0)

    assert room.read(result["file_id"]).data == b""


def test_a_form_in_chunks_without_a_length_is_taken_and_counted(room: Room) -> None:
    record = room.settle(room.send_form(b"x" * 3_000_000, "a.bin", environ_overrides=CHUNKED))

    assert record.state == "succeeded"
    assert room.storage()["stored_bytes"] == 3_000_000


def test_a_raw_body_without_a_length_is_refused(room: Room) -> None:
    """Nothing would tell the end of such a body from where it was cut off."""
    problem_of(room.send(b"x" * 3_000_000, "a.bin", environ_overrides=CHUNKED), 400)

    assert not loose(room.services, [room.org_id])


NAMES = ["../../etc/passwd", "/etc/passwd", "C:\\x", "a\x00.png", "x" * 5_000, "a\u202ecod.exe", "a\r\nX-Evil: 1"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_can_not_be_kept_is_refused_before_the_body_is_read(room: Room, name: str) -> None:
    problem = problem_of(room.send(b"hello", name), 422)

    assert problem["errors"][0]["header"] == "Content-Disposition"
    assert not loose(room.services, [room.org_id])


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_forms_name_that_can_not_be_kept_leaves_nothing(room: Room, name: str) -> None:
    problem_of(room.send_form(b"hello", "a.txt", fields={"name": name}), 422)

    assert not blobs_in(room.services)
    assert not loose(room.services, [room.org_id])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "attachment",
        'attachment; filename=""',
        "inline; filename*=UTF-8''%FF%FE",
        "attachment; filename*=UTF-8''/etc/passwd",
        "attachment; filename*=UTF-8''",
        'attachment; filename="a" b.txt',
        "attachment" + " " * 100_000 + "@",
        "\xff\xfe",
    ],
)
def test_a_raw_body_without_a_name_is_refused(room: Room, header: str) -> None:
    answer = room.owner(
        "POST", f"/v1/rooms/{room.room_id}/files", data=b"x", headers={"Content-Disposition": header}
    )

    assert problem_of(answer, 422)["errors"][0]["header"] == "Content-Disposition"


def test_a_name_in_utf_8_is_taken_either_way(room: Room) -> None:
    quoted = room.share(b"one", "Übersicht 中文.txt")
    header = 'attachment; filename="Ärger.txt"'.encode().decode("latin-1")
    plain = room.settle(
        room.owner("POST", f"/v1/rooms/{room.room_id}/files", data=b"two", headers={"Content-Disposition": header})
    )

    assert {one["name"] for one in room.files()} == {"Übersicht 中文.txt", "Ärger.txt"}
    assert quoted["file_id"] != plain.result["file_id"]


@pytest.mark.parametrize("header", ["gzip", "br", "identity, gzip"])
def test_a_packed_body_is_refused(room: Room, header: str) -> None:
    problem_of(room.send(b"x", "a.txt", headers={"Content-Encoding": header}), 415)

    assert not loose(room.services, [room.org_id])


def test_a_body_that_ends_before_its_length_leaves_nothing(room: Room) -> None:
    environ = {"wsgi.input": io.BytesIO(b"half"), "CONTENT_LENGTH": "1000"}
    answer = room.send(None, "a.txt", environ_overrides=environ)

    problem_of(answer, 400)
    assert not blobs_in(room.services)
    assert not loose(room.services, [room.org_id])
    assert room.storage()["reserved_bytes"] == 0


def limit(services: Services, size_bytes: int) -> None:
    services.tiers.change("free", {"storage_bytes": size_bytes})


def test_over_quota_is_said_before_the_body_is_read(room: Room) -> None:
    limit(room.services, 1_000)

    class Unread:
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    answer = room.send(
        None,
        "a.bin",
        environ_base={"wsgi.input": Unread(), "CONTENT_LENGTH": "1001"},
        headers={"Content-Length": "1001"},
    )

    problem = problem_of(answer, 413)
    assert (problem["limit_bytes"], problem["used_bytes"], problem["needed_bytes"]) == (1_000, 0, 1_001)


def test_over_quota_shows_while_a_body_without_a_length_comes(room: Room) -> None:
    limit(room.services, 1_000_000)

    problem_of(room.send_form(b"x" * 1_000_001, "a.bin", environ_overrides=CHUNKED), 413)
    assert room.storage()["reserved_bytes"] == 0
    record = room.settle(room.send_form(b"x" * 1_000_000, "a.bin", environ_overrides=CHUNKED))
    assert record.state == "succeeded"


def test_a_form_that_announces_more_than_any_file_may_have_is_refused(room: Room) -> None:
    answer = room.send_form(b"x", "a.bin", environ_overrides={"CONTENT_LENGTH": str(2**63 + 2**21)})

    assert problem_of(answer, 413)["limit_bytes"] == room.services.settings.file_max_bytes
    assert not loose(room.services, [room.org_id])


@pytest.mark.parametrize("send", [Room.send, Room.send_form])
def test_the_quota_may_be_used_to_its_last_byte(room: Room, send: Callable[..., TestResponse]) -> None:
    limit(room.services, 100_000)

    assert room.settle(send(room, b"x" * 100_000, "a.bin")).state == "succeeded"
    problem_of(send(room, b"y", "b.bin"), 413)
    assert room.storage() == {
        "files": 1,
        "stored_bytes": 100_000,
        "reserved_bytes": 0,
        "limit_bytes": 100_000,
        "share": 1.0,
        "level": "full",
    }


def test_a_hundred_at_once_never_pass_the_quota(room: Room) -> None:
    limit(room.services, 10_000)
    answers: list[int] = []

    def send(number: int) -> None:
        answers.append(room.send(number.to_bytes(2, "big") * 500, f"{number}.bin").status_code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (answers.count(202), answers.count(413)) == (10, 90)
    assert room.storage()["reserved_bytes"] == 10_000


def test_at_four_fifths_people_are_told_once(room: Room, member_of: Callable[..., Member]) -> None:
    admin = member_of(room.org_id, "admin")
    limit(room.services, 1_000)

    room.share(b"x" * 700, "a.bin")
    room.share(b"y" * 150, "b.bin")
    room.share(b"z" * 50, "c.bin")

    told = [one for one in admin("GET", "/v1/events").json["items"] if one["type"].startswith("Storage")]
    assert [(one["type"], one["data"]) for one in told] == [
        ("StorageWarning", {"used_bytes": 850, "limit_bytes": 1_000})
    ]
    assert room.storage()["level"] == "warning"


def test_a_store_that_fails_leaves_nothing_and_says_when_to_come_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("The store of files does not answer.", retry_after_s=7)

    with monkeypatch.context() as broken:
        broken.setattr(room.services.blobs, "save", fail)
        answer = room.send(b"x", "a.txt")

    problem_of(answer, 503)
    assert answer.headers["Retry-After"] == "7"
    assert room.storage()["reserved_bytes"] == 0


def test_a_job_waits_for_a_store_that_fails_without_an_attempt(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = room.send(b"x", "a.txt")

    def fail(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("The store of files does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(room.services.blobs, "open", fail)
        record = room.slot.step("files")

    assert record is not None
    assert (record.state, record.attempt) == ("waiting", 0)
    assert record.waiting_for is not None
    assert record.waiting_for["reason"] == "storage"
    assert answer.status_code == 202


def test_the_same_key_sends_the_first_answer_and_keeps_nothing_again(room: Room) -> None:
    headers = {"Idempotency-Key": "once"}
    first = room.send(b"hello", "a.txt", headers=headers)
    there = blobs_in(room.services)
    limit(room.services, 5)  # no room is needed for what is only compared

    again = room.send(b"hello", "a.txt", headers=headers)
    other = room.send(b"hullo", "a.txt", headers=headers)

    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem_of(other, 422)["type"] == "/problems/idempotency-key-reused"
    assert blobs_in(room.services) == there


def test_a_form_and_a_key_are_compared_by_what_was_sent(room: Room) -> None:
    headers = {"Idempotency-Key": "form"}

    first = room.send_form(b"hello", "a.txt", headers=headers)
    again = room.send_form(b"hello", "a.txt", headers=headers)

    assert again.json["id"] == first.json["id"]


def test_who_loses_the_role_while_sending_is_refused_and_nothing_stays(
    room: Room, member_of: Callable[..., Member], services: Services
) -> None:
    editor = member_of(room.org_id)
    put(room, editor, "editor")

    def body() -> Any:
        yield b"first"
        elsewhere = threading.Thread(target=put, args=(room, editor, "viewer"))
        elsewhere.start()
        elsewhere.join()
        yield b"second"

    class Slow:
        def __init__(self) -> None:
            self._chunks = body()

        def read(self, *_: Any) -> bytes:
            return next(self._chunks, b"")

    environ = {"wsgi.input": Slow(), "CONTENT_LENGTH": "11"}
    answer = room.send(None, "a.txt", who=editor, environ_overrides=environ)

    problem_of(answer, 403)
    assert not blobs_in(services)


def put(room: Room, member: Member, role: str) -> None:
    etag = room.owner("GET", f"/v1/rooms/{room.room_id}").headers["ETag"]
    path = f"/v1/rooms/{room.room_id}/members/{member.user_id}"
    answer = room.owner("PUT", path, json={"role": role}, headers={"If-Match": etag})
    assert answer.status_code in {200, 201}, answer.text


def test_an_upload_that_died_is_cleaned_away(room: Room) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        room.services.uploads.begin(room.org_id, announced_bytes=5, max_bytes=10) as upload,
    ):
        upload.save([b"hello"])
        upload.give_up = lambda: None  # type: ignore[method-assign] # as a process that is killed
        raise KeyboardInterrupt

    assert room.storage()["reserved_bytes"] == 5
    assert room.clean(timedelta(minutes=30)).given_up == 0
    assert room.clean(timedelta(hours=2)).given_up == 1
    assert not blobs_in(room.services)
    assert room.storage()["reserved_bytes"] == 0
    room.clean(timedelta(hours=4))
    assert not room.services.scope(room.org_id)[LOOSE_BLOBS].count_documents({})


def test_a_job_that_has_not_run_for_days_keeps_its_upload(room: Room) -> None:
    answer = room.send(b"hello", "a.txt")

    cleaned = room.clean(timedelta(days=5))

    assert (cleaned.given_up, cleaned.left) == (0, 1)
    assert room.settle(answer).state == "succeeded"


def test_bytes_that_were_changed_in_the_store_are_never_shared(room: Room) -> None:
    answer = room.send(b"hello", "a.txt")
    (blob,) = (one for one in (room.services.settings.data_dir / "blobs").rglob("*") if one.is_file())
    blob.write_bytes(b"hallo")

    record = room.settle(answer)

    assert record.error is not None
    assert (record.state, record.error["code"]) == ("failed", "file-damaged")
    assert room.files() == []
    room.clean()
    assert room.storage()["reserved_bytes"] == 0


def test_an_upload_that_comes_back_while_the_cleaner_is_at_it_keeps_its_bytes(room: Room) -> None:
    """The cleaner gives up only what is as it read it."""
    services, scope = room.services, room.services.scope(room.org_id)
    with services.uploads.begin(room.org_id, announced_bytes=5, max_bytes=10) as upload:
        row = scope[LOOSE_BLOBS].find_one({"_id": upload.blob_id})
        assert row is not None
        upload.save([b"hello"])

        assert ledger.give_up_row(scope, row, services.clock.now()) == []
        assert services.blobs.exists(upload.blob_id)
        upload.give_up()


def test_a_job_that_is_retried_while_the_cleaner_is_at_it_keeps_its_upload(room: Room) -> None:
    answer = room.send(b"hello", "a.txt")
    job_id = answer.json["id"]
    assert room.owner("POST", f"/v1/jobs/{job_id}/cancel").status_code == 200
    scope, services = room.services.scope(room.org_id), room.services
    (row,) = scope[LOOSE_BLOBS].find()

    again = room.owner("POST", f"/v1/jobs/{job_id}/retry")
    record = room.settle(again)

    assert ledger.give_up_row(scope, row, services.clock.now()) == []
    assert record.state == "succeeded"
    assert room.read(record.result["file_id"]).data == b"hello"


def test_only_who_may_add_files_cancels_and_retries_the_jobs_of_a_room(
    room: Room, member_of: Callable[..., Member]
) -> None:
    outsider, viewer, editor = (member_of(room.org_id) for _ in range(3))
    put(room, viewer, "viewer")
    put(room, editor, "editor")
    job_id = room.send(b"hello", "a.txt").json["id"]

    problem_of(outsider("POST", f"/v1/jobs/{job_id}/cancel"), 404)
    problem_of(viewer("POST", f"/v1/jobs/{job_id}/cancel"), 403)
    many = outsider("POST", "/v1/jobs/cancel", json={"filter": {"kind": ImportUpload.name}})
    room.slot.step("jobs")
    assert many.status_code == 202
    assert editor("POST", f"/v1/jobs/{job_id}/cancel").json["state"] == "cancelled"
    problem_of(outsider("POST", f"/v1/jobs/{job_id}/retry"), 404)
    assert room.settle(editor("POST", f"/v1/jobs/{job_id}/retry")).state == "succeeded"


def test_people_are_told_again_when_storage_gets_little_again(
    room: Room, member_of: Callable[..., Member]
) -> None:
    admin = member_of(room.org_id, "admin")
    limit(room.services, 1_000)
    for _ in range(2):
        file_id = room.share(b"x" * 850, "a.bin")["file_id"]
        room.remove(file_id)

    told = [one for one in admin("GET", "/v1/events").json["items"] if one["type"] == "StorageWarning"]
    assert len(told) == 2
