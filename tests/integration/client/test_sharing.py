"""Folders shared at once, from a program and from the command line."""

import os
import zipfile
from pathlib import Path

import httpx
import pytest
from fairway import Fairway, Problem
from fairway.sharing import Outgoing, outgoing, share_all

from common.ids import OrgId
from common.services import Services
from tests.integration.client.conftest import Run, Working, printed
from tests.integration.conftest import make_person

LIST = ("one", "two", "three")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of five files, of which two pairs have the same content."""
    made = tmp_path / "campaign"
    (made / "text" / "deep").mkdir(parents=True)
    for name, content in (
        ("a.txt", "one"),
        ("text/b.txt", "two"),
        ("text/deep/c.txt", "one"),
        ("text/deep/d.txt", "two"),
        ("text/Öffnung.txt", "three"),
    ):
        (made / name).write_text(content, encoding="utf-8")
    return made


def test_a_folder_is_shared_under_its_relative_paths_and_each_content_stored_once(
    fairway: Fairway, working: Working, folder: Path
) -> None:
    room = fairway.make_room("Spring")

    sent = list(share_all(fairway, room.id, list(outgoing([folder]))))
    ended = [fairway.wait(one.job.id, within_s=20) for one in sent if one.job is not None]

    assert sum(job.result["new"] for job in ended) == 3
    assert sum(job.result["deduplicated"] for job in ended) == 2
    names = {frozenset(one.names) for one in fairway.files(room.id)}
    assert names == {
        frozenset({"a.txt", "text/deep/c.txt"}),
        frozenset({"text/b.txt", "text/deep/d.txt"}),
        frozenset({"text/Öffnung.txt"}),
    }
    assert fairway.storage().stored_bytes == sum(map(len, LIST))
    del working


def test_what_is_no_file_and_what_may_not_be_named_stops_no_other(
    fairway: Fairway, folder: Path, tmp_path: Path
) -> None:
    room = fairway.make_room("Spring")
    (folder / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    (folder / "gone.txt").symlink_to(folder / "never.txt")
    os.mkfifo(folder / "pipe")
    (folder / "turned\u202etxt.exe").write_text("four")

    sent = list(share_all(fairway, room.id, list(outgoing([folder]))))

    refused = {one.file.name: one.refused for one in sent if one.refused}
    assert set(refused) == {"elsewhere", "gone.txt", "pipe", "turned\u202etxt.exe"}
    assert "invisible" in str(refused["turned\u202etxt.exe"])
    assert len([one for one in sent if one.job is not None]) == 5


def test_what_would_meet_all_files_ends_the_sharing(fairway: Fairway, folder: Path) -> None:
    files = list(outgoing([folder])) * 20

    with pytest.raises(Problem) as refused:
        list(share_all(fairway, "01920f3c-8a4e-7b2f-8c1d-00000000000a", files))

    assert refused.value.status == 404


def test_no_more_files_are_under_way_than_asked_for(folder: Path) -> None:
    api = Slow()
    with Fairway("http://test", token="t", transport=api) as fairway, pytest.raises(Problem):
        list(share_all(fairway, "room", list(outgoing([folder])) * 8, at_once=3))

    assert 1 <= api.most <= 3


class Slow(httpx.BaseTransport):
    """An API that notes how many requests it has at a time, and refuses the last ones."""

    def __init__(self) -> None:
        self.most = self._now = self._asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._asked += 1
        self._now += 1
        self.most = max(self.most, self._now)
        request.read()
        self._now -= 1
        if self._asked > 30:
            return httpx.Response(403, json={"title": "Not allowed"})
        return httpx.Response(413, json={"title": "Too large"})


def test_a_file_that_can_not_be_looked_at_is_refused_when_it_is_sent(fairway: Fairway, tmp_path: Path) -> None:
    room = fairway.make_room("Spring")

    (sent,) = share_all(fairway, room.id, [Outgoing(tmp_path / "none.txt", "none.txt", 0)])

    assert sent.refused == "is no file"


def test_the_command_line_shares_a_folder_and_sums_up(run: Run, working: Working, folder: Path) -> None:
    assert run("room", "make", "Spring").exit_code == 0

    done = run("share", "Spring", str(folder), "--wait", "--timeout", "20")
    again = run("--json", "share", "Spring", str(folder), "--wait", "--timeout", "20")

    assert done.exit_code == 0, done.output
    assert "5 files, 17 bytes sent, 0 files not sent: 3 new, 2 deduplicated, 0 refused, 0 failed" in done.output
    lines = printed(again)
    assert {one.get("name") for one in lines[:-1]} >= {"a.txt", "text/deep/c.txt"}
    assert (lines[-1]["new"], lines[-1]["deduplicated"]) == (0, 5)
    del working


def test_the_command_line_says_which_files_were_not_sent(run: Run, folder: Path) -> None:
    run("room", "make", "Spring")
    (folder / "gone.txt").symlink_to(folder / "never.txt")

    done = run("share", "Spring", str(folder))

    assert done.exit_code == 3, done.output
    assert "gone.txt: refused: is a link" in done.output
    assert "1 files not sent; their imports go on" in done.output
    assert run("share", "Spring", str(folder), "--name", "x").exit_code == 2
    assert run("share", "Nowhere", str(folder)).exit_code == 2


def test_the_command_line_on_one_file_from_share_to_unshare(
    run: Run, working: Working, folder: Path, tmp_path: Path
) -> None:
    (room,) = printed(run("--json", "room", "make", "Spring"))
    shared = run("--json", "share", "Spring", str(folder / "a.txt"), "--name", "[b]/a.txt", "--wait")
    file_id = printed(shared)[0]["result"]["file_id"]

    assert "[b]/a.txt" in run("files", room["id"]).output
    assert printed(run("--json", "file", file_id))[0]["rooms"][0]["room_name"] == "Spring"
    fetched = run("fetch", file_id, str(tmp_path))
    assert fetched.exit_code == 0, fetched.output
    assert (tmp_path / "a.txt").read_text() == "one"
    assert run("fetch", file_id, str(tmp_path)).exit_code == 2
    assert run("fetch", file_id, str(tmp_path), "--force").exit_code == 0
    assert run("fetch", file_id, str(tmp_path / "none" / "a.txt")).exit_code == 4
    assert printed(run("--json", "storage"))[0]["files"] == 1
    assert run("unshare", "Spring", file_id).exit_code == 0
    actions = [one["action"] for one in printed(run("--json", "audit-log", "--room", "Spring"))]
    assert actions == ["file.removed", "file.downloaded", "file.downloaded", "file.added", "room.created"]
    assert "file.added" in run("audit-log", "--action", "file.added").output
    del working


def test_the_command_line_on_rooms_and_their_people(
    run: Run, working: Working, services: Services, org_id: OrgId
) -> None:
    bob = make_person(services, org_id, "member", email="bob@acme.example")
    (room,) = printed(run("--json", "room", "make", "Spring", "--description", "What we show"))

    assert run("room", "invite", "Spring", "Bob@acme.example", "viewer").exit_code == 0
    assert "bob@acme.example" in run("room", "members", "Spring").output
    assert run("room", "invite", "Spring", "nobody@acme.example", "viewer").exit_code == 2
    assert run("room", "remove", "Spring", bob.user_id).exit_code == 0
    assert run("room", "change", "Spring", "--name", "Summer").exit_code == 0
    assert run("room", "show", "Summer").exit_code == 0
    run("room", "make", "Summer")
    twice = run("room", "show", "Summer")
    assert (twice.exit_code, room["id"] in twice.output) == (2, True)
    assert "Summer" in run("rooms", "--all").output
    assert run("room", "delete", room["id"], "--wait").exit_code == 0
    assert [one["id"] for one in printed(run("--json", "rooms"))] != [room["id"]]
    del working


def test_what_others_named_does_nothing_to_the_terminal(run: Run, working: Working, tmp_path: Path) -> None:
    run("room", "make", "Spring")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("\x1b[31m[/red]../x", b"one")
    job = printed(run("--json", "share", "Spring", str(tmp_path / "odd.zip"), "--wait"))[0]

    shown = run("entries", job["id"], "--outcome", "refused")

    assert shown.exit_code == 0, shown.output
    table = "\n".join(line for line in shown.output.splitlines() if "[/red]" in line)
    assert table
    assert "\x1b" not in table
    del working
