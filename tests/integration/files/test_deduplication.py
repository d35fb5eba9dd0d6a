"""A content is stored once in an organization, and its bytes go with the last room that has it, never before."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

from common.files import ledger, sharing
from common.files.collections import AUDIT_LOG, FILES, LOOSE_BLOBS
from common.files.findings import Findings
from common.files.ledger import LEASE, Loose
from common.files.linking import NAMES_MAX
from common.files.sharing import Content, Deed, Overtaken
from common.ids import JobId, new_id
from common.services import Services
from tests.integration.files.bytes_checked import blobs_in, loose
from tests.integration.files.conftest import Room


def test_the_same_bytes_again_are_stored_once_and_the_answer_says_so(room: Room) -> None:
    first = room.share(b"same", "a.txt")
    second = room.share(b"same", "b.txt")

    assert (second["deduplicated"], second["new"], second["file_id"]) == (1, 0, first["file_id"])
    (file,) = room.files()
    assert (file["name"], file["names"]) == ("a.txt", ["a.txt", "b.txt"])
    assert len(blobs_in(room.services)) == 1
    assert room.storage()["stored_bytes"] == 4
    assert room.storage()["reserved_bytes"] == 0


def test_two_contents_of_one_name_are_two_files(room: Room) -> None:
    room.share(b"one", "a.txt")
    room.share(b"two", "a.txt")

    assert [one["name"] for one in room.files()] == ["a.txt", "a.txt"]


def test_the_same_bytes_of_another_organization_are_its_own(room: Room, make_room: Callable[..., Room]) -> None:
    theirs = make_room()

    mine = room.share(b"same", "a.txt")
    other = theirs.share(b"same", "a.txt")

    assert (other["deduplicated"], other["new"]) == (0, 1)
    assert other["file_id"] != mine["file_id"]
    assert len(blobs_in(room.services)) == 2
    assert theirs.read(mine["file_id"]).status_code == 404


def test_bytes_go_with_the_last_link(room: Room, make_room: Callable[..., Room]) -> None:
    second = make_room(room.org_id)
    file_id = room.share(b"same", "a.txt")["file_id"]
    second.share(b"same", "a.txt")

    assert room.remove(file_id).status_code == 204
    assert room.files() == []
    assert second.read(file_id).data == b"same"
    assert room.read(file_id).status_code == 404  # its owner is not in the other room
    assert second.remove(file_id).status_code == 204
    assert second.read(file_id).status_code == 404
    assert not blobs_in(room.services)
    assert room.storage()["stored_bytes"] == 0


def test_what_is_removed_and_sent_again_is_there_again(room: Room) -> None:
    first = room.share(b"same", "a.txt")
    room.remove(first["file_id"])
    second = room.share(b"same", "a.txt")

    assert (second["new"], room.read(second["file_id"]).data) == (1, b"same")
    room.clean()
    assert room.read(second["file_id"]).data == b"same"


def test_a_file_that_is_not_in_the_room_can_not_be_taken_out(room: Room, make_room: Callable[..., Room]) -> None:
    second = make_room(room.org_id)
    file_id = second.share(b"x", "a.txt")["file_id"]

    assert room.remove(file_id).status_code == 404
    assert second.read(file_id).data == b"x"


def test_the_audit_log_has_each_deed_once(room: Room) -> None:
    file_id = room.share(b"same", "a.txt")["file_id"]
    room.share(b"same", "a.txt")
    room.share(b"same", "b.txt")
    room.read(file_id)
    room.read(file_id, headers={"Range": "bytes=2-"})
    room.remove(file_id)

    log = room.services.scope(room.org_id)[AUDIT_LOG].find({"file_id": file_id}, sort=[("_id", 1)])
    assert [(one["action"], one["detail"].get("name")) for one in log] == [
        ("file.added", "a.txt"),
        ("file.added", "b.txt"),
        ("file.downloaded", None),
        ("file.downloaded", None),
        ("file.removed", None),
    ]


def test_a_hundred_names_of_one_content_are_kept_and_no_more(room: Room) -> None:
    for number in range(NAMES_MAX):
        room.share(b"same", f"{number}.txt")
    record = room.settle(room.send(b"same", "one too many.txt"))

    assert record.error is not None
    assert (record.state, record.error["code"]) == ("failed", "too-many-names")
    assert len(room.files()[0]["names"]) == NAMES_MAX
    room.clean()
    assert room.storage()["reserved_bytes"] == 0


def given(room: Room, data: bytes, name: str) -> Content:
    """Store *data* as a job does before it shares it."""
    services, blob_id = room.services, new_id()
    scope = services.scope(room.org_id)
    until = services.clock.now() + LEASE
    ledger.note(scope, Loose(blob_id, "received", JobId(new_id()), len(data), until), 10**12)
    blob = services.blobs.save([data], max_bytes=len(data), blob_id=blob_id)
    return Content(name, blob.sha256, blob.size_bytes, blob_id, Findings("text/plain", {}))


def deed(services: Services) -> Deed:
    return Deed("somebody", "a-request", services.clock.now())


def put(room: Room, *contents: Content) -> Sequence[sharing.Shared]:
    """Share *contents* as often as it takes."""
    services = room.services
    scope = services.scope(room.org_id)
    while True:
        try:
            made = scope.transaction(lambda inner: sharing.share(inner, room.room_id, contents, deed(services)))
        except Overtaken:
            continue
        ledger.delete(scope, services.blobs, made.doomed, services.clock.now())
        return made.shared


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make *calls* at the same moment; return what each returned."""
    barrier, found = threading.Barrier(len(calls)), {}

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        found[number] = call()

    threads = [threading.Thread(target=run, args=(number, call)) for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[number] for number in range(len(calls))]


def test_the_same_bytes_sixteen_times_at_once_are_stored_once(room: Room) -> None:
    contents = [given(room, b"same", f"{number}.txt") for number in range(16)]

    found = at_once(*(lambda one=one: put(room, one) for one in contents))

    assert sum(not shared.deduplicated for (shared,) in found) == 1
    assert len({shared.file_id for (shared,) in found}) == 1
    assert room.services.scope(room.org_id)[FILES].count_documents({}) == 1
    assert len(blobs_in(room.services)) == 1
    assert len(room.files()[0]["names"]) == 16


def test_removing_against_sharing_the_same_bytes(room: Room, make_room: Callable[..., Room]) -> None:
    """Whoever wins, a file that a room has has its bytes, and bytes that no room has go."""
    second, chance = make_room(room.org_id), random.Random(7)
    for _ in range(15):
        file_id = put(room, given(room, b"same", "a.txt"))[0].file_id
        content = given(room, b"same", "b.txt")

        at_once(lambda file_id=file_id: room.remove(file_id), lambda content=content: put(second, content))

        (there,) = second.files()
        assert second.read(there["id"]).data == b"same"
        room.check()
        for each in (room, second) if chance.random() < 0.5 else (second, room):
            for one in each.files():
                each.remove(one["id"])
        assert not loose(room.services, [room.org_id])


def test_many_who_share_and_remove_the_same_few_contents(room: Room, make_room: Callable[..., Room]) -> None:
    rooms = [room, make_room(room.org_id), make_room(room.org_id)]

    def work(seed: int) -> int:
        chance, done = random.Random(seed), 0
        for _ in range(12):
            where, data = chance.choice(rooms), chance.choice([b"one", b"two", b"three"])
            if chance.random() < 0.6:
                put(where, given(where, data, f"{seed}.txt"))
            for one in where.files()[: chance.randint(0, 1)]:
                where.remove(one["id"])
            done += 1
        return done

    assert at_once(*(lambda seed=seed: work(seed) for seed in range(6))) == [12] * 6
    room.check()
    for each in rooms:
        for one in each.files():
            assert each.remove(one["id"]).status_code == 204
    room.clean()
    room.clean()
    assert not blobs_in(room.services)
    assert not room.services.scope(room.org_id)[LOOSE_BLOBS].count_documents({})
    assert room.storage()["stored_bytes"] == 0
