"""Rooms and files through the client, against the real application."""

import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fairway import Fairway, NotSent, Problem

from common.ids import OrgId
from common.services import Services
from tests.integration.client.conftest import Working
from tests.integration.conftest import make_person, token_of


def zipped(**contents: bytes) -> bytes:
    """Return a zip of *contents*, by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


def test_rooms_from_a_program(fairway: Fairway, working: Working) -> None:
    room = fairway.make_room("Spring", description="What we show", key="once")

    assert fairway.make_room("Spring", description="What we show", key="once") == room
    assert (room.role, room.members, room.files) == ("owner", 1, 0)
    assert fairway.room(room.id) == room
    assert [one.id for one in fairway.rooms()] == [room.id]
    assert fairway.change_room(room.id, name="Summer").name == "Summer"
    job = fairway.wait(fairway.delete_room(room.id).id, within_s=20)
    assert job.state == "succeeded"
    assert list(fairway.rooms(all=True)) == []
    del working


def test_members_come_change_and_go(fairway: Fairway, services: Services, org_id: OrgId) -> None:
    bob, room = make_person(services, org_id, "member"), fairway.make_room("Spring")

    assert fairway.set_member(room.id, bob.user_id, "viewer").role == "viewer"
    assert fairway.set_member(room.id, bob.user_id, "editor").email == bob.email
    assert {one.user_id: one.role for one in fairway.members(room.id)}[bob.user_id] == "editor"
    fairway.remove_member(room.id, bob.user_id)
    assert bob.user_id not in {one.user_id for one in fairway.members(room.id)}
    actions = [one.action for one in fairway.audit_log(room_id=room.id)]
    assert actions == ["member.removed", "member.set", "member.set", "room.created"]
    assert [one.action for one in fairway.audit_log(action="room.created")] == ["room.created"]


def test_a_role_is_given_although_the_room_changes_at_the_same_time(
    fairway: Fairway,
    wire: httpx.WSGITransport,
    services: Services,
    org_id: OrgId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bob, room = make_person(services, org_id, "member"), fairway.make_room("Spring")
    real, between = wire.handle_request, iter(range(3))

    def interfering(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and (number := next(between, None)) is not None:
            fairway.change_room(room.id, name=f"Spring {number}")
        return real(request)

    monkeypatch.setattr(wire, "handle_request", interfering)

    assert fairway.set_member(room.id, bob.user_id, "viewer").role == "viewer"
    assert next(between, None) is None
    assert fairway.room(room.id).name == "Spring 2"


def test_a_file_is_shared_listed_downloaded_and_taken_out(
    fairway: Fairway, working: Working, tmp_path: Path
) -> None:
    path, room = tmp_path / "Übersicht 2026.csv", fairway.make_room("Spring")
    path.write_bytes(b"a,b\n1,2\n")
    went: list[int] = []

    job = fairway.wait(fairway.share(room.id, path, seen=went.append).id, within_s=20)
    again = fairway.wait(fairway.share(room.id, path, name="reports/may.csv").id, within_s=20)

    assert (job.state, job.result["new"], again.result["deduplicated"]) == ("succeeded", 1, 1)
    assert (went[0], went[-1]) == (0, 8)
    (file,) = fairway.files(room.id)
    assert set(file.names) == {path.name, "reports/may.csv"}
    assert [one.room_id for one in fairway.file(file.id).rooms] == [room.id]
    storage = fairway.storage()
    assert (storage.files, storage.stored_bytes, storage.level) == (1, 8, "ok")
    fairway.download(file.id, tmp_path / "here.csv")
    assert (tmp_path / "here.csv").read_bytes() == path.read_bytes()
    fairway.remove_file(room.id, file.id)
    assert list(fairway.files(room.id)) == []
    del working


def test_an_open_file_is_shared_from_where_it_stands(fairway: Fairway, working: Working) -> None:
    room, file = fairway.make_room("Spring"), io.BytesIO(b"skipped,the rest")
    file.seek(8)

    job = fairway.wait(fairway.share(room.id, file, name="rest.txt").id, within_s=20)

    assert fairway.file(job.result["file_id"]).size_bytes == len(b"the rest")
    with pytest.raises(NotSent, match="called"):
        fairway.share(room.id, file)
    with pytest.raises(NotSent, match="no text"):
        fairway.share(room.id, file, name="\udcff.txt")
    del working


def test_the_entries_of_a_zip_are_told_one_by_one(fairway: Fairway, working: Working, tmp_path: Path) -> None:
    path, room = tmp_path / "all.zip", fairway.make_room("Spring")
    path.write_bytes(zipped(a_txt=b"one", b_txt=b"one", **{"../c_txt": b"two"}))

    job = fairway.wait(fairway.share(room.id, path).id, within_s=20)
    kept = fairway.wait(fairway.share(room.id, path, unpack=False).id, within_s=20)

    assert [one.outcome for one in fairway.entries(job.id)] == ["new", "deduplicated", "refused"]
    (refused,) = fairway.entries(job.id, outcome="refused")
    assert refused.reason
    assert kept.result["new"] == 1
    del working


def test_a_file_whose_answer_was_lost_is_sent_again_from_its_beginning_and_shared_once(
    fairway: Fairway, wire: httpx.WSGITransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, room = tmp_path / "may.csv", fairway.make_room("Spring")
    path.write_bytes(b"a,b\n" * 100_000)
    real, lengths = wire.handle_request, list[int]()

    def losing(request: httpx.Request) -> httpx.Response:
        answer = real(request)
        lengths.append(len(request.read()))
        if len(lengths) == 1:
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return answer

    monkeypatch.setattr(wire, "handle_request", losing)
    job = fairway.share(room.id, path)

    assert lengths == [400_000, 400_000]
    assert [one.id for one in fairway.jobs(kind="files.import")] == [job.id]


def test_who_may_look_may_not_send(
    fairway: Fairway, wire: httpx.WSGITransport, services: Services, org_id: OrgId, tmp_path: Path
) -> None:
    path, room, token = tmp_path / "a.txt", fairway.make_room("Spring"), token_of(services, org_id, "member")
    path.write_bytes(b"one")
    with Fairway("http://test", token=token, transport=wire) as bob:
        with pytest.raises(Problem) as unknown:
            bob.room(room.id)
        (person,) = (one for one in fairway.users() if one.role == "member")
        fairway.set_member(room.id, person.id, "viewer")
        with pytest.raises(Problem) as refused:
            bob.share(room.id, path)
        assert bob.room(room.id).role == "viewer"
        assert list(bob.files(room.id)) == []

    assert (unknown.value.status, refused.value.status) == (404, 403)


class Shrinking(io.BytesIO):
    """A file that somebody truncates once it is being read."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.truncate(self.tell())
        return found


def test_a_file_that_becomes_shorter_meanwhile_is_not_sent(fairway: Fairway) -> None:
    room = fairway.make_room("Spring")

    with pytest.raises(NotSent, match="shorter"):
        fairway.share(room.id, Shrinking(b"x" * 1_000_000), name="log.txt")

    assert list(fairway.jobs(kind="files.import")) == []


class Counting(httpx.BaseTransport):
    """An API that reads what is sent, keeps nothing of it, and refuses."""

    def __init__(self) -> None:
        self.size_bytes = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        for chunk in request.stream:
            self.size_bytes += len(chunk)
        return httpx.Response(413, json={"title": "Too large"})


def test_a_large_file_is_never_held_in_memory(tmp_path: Path) -> None:
    path, api = tmp_path / "large.bin", Counting()
    with path.open("wb") as out:
        out.truncate(200 * 1024 * 1024)

    tracemalloc.start()
    with Fairway("http://test", token="t", transport=api) as fairway, pytest.raises(Problem):
        fairway.share("room", path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert api.size_bytes == 200 * 1024 * 1024
    assert peak_bytes < 8 * 1024 * 1024


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    """Trace no memory after a test that failed while it did."""
    yield
    tracemalloc.stop()
