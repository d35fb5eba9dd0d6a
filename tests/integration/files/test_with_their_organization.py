"""Files go where their organization goes: into its archive, out of it, and away with it."""

from collections.abc import Callable
from typing import Any

import pytest

from common.files.collections import FILES, LOOSE_BLOBS
from common.files.uploads import Upload
from common.ids import OrgId
from common.jobs.record import entry_of
from common.services import Services
from tests.integration.conftest import Slot, make_organization
from tests.integration.files.bytes_checked import blobs_in, check
from tests.integration.files.conftest import Room, zipped
from tests.integration.files.test_sending import limit
from tests.integration.web.conftest import Member
from tests.integration.web.test_archives import exported, restore
from tests.integration.web.test_deletion import finish
from tests.integration.web.test_organizations import place
from workers.runner import Outcome

CONTENTS = {f"docs/{number}.txt": f"content {number}".encode() * 50 for number in range(120)}


@pytest.fixture
def target(member_of: Callable[..., Member], services: Services) -> Member:
    """Return an admin of an empty organization."""
    return member_of(make_organization(services, "Target"), "admin")


def filled(room: Room) -> Room:
    """Give a room files, one of them large and one in another room too."""
    room.settle(room.send(zipped(CONTENTS), "docs.zip"))
    room.share(bytes(range(256)) * 20_000, "large.bin")
    return room


def files_of(who: Member, room_id: str) -> dict[str, bytes]:
    """Download all files of a room."""
    found: dict[str, bytes] = {}
    page = who("GET", f"/v1/rooms/{room_id}/files?limit=200").json
    assert page["next_cursor"] is None
    for one in page["items"]:
        found[one["name"]] = who("GET", f"/v1/files/{one['id']}/content").data
    return found


def test_an_archive_brings_rooms_and_bytes_into_another_organization(
    services: Services, room: Room, member_of: Callable[..., Member], target: Member
) -> None:
    filled(room)
    admin = member_of(room.org_id, "admin")

    archive = exported(services, admin)
    record = restore(services, target, archive)

    assert record.state == "succeeded", record.error
    assert record.result["documents"]["data/files.bson"] == 121
    (restored,) = target("GET", "/v1/rooms?all=true").json["items"]
    assert (restored["name"], restored["files"]) == ("Reports", 121)
    assert files_of(target, restored["id"]) == files_of(admin, room.room_id)
    assert target("GET", "/v1/storage").json["stored_bytes"] == room.storage()["stored_bytes"]
    room.others = [_as_room(room, target, restored["id"])]


def _as_room(room: Room, who: Member, room_id: str) -> Room:
    return Room(room.services, who, room_id, room.slot)


def test_what_is_removed_there_stays_here(
    services: Services, room: Room, member_of: Callable[..., Member], target: Member
) -> None:
    filled(room)
    restore(services, target, exported(services, member_of(room.org_id, "admin")))
    (restored,) = target("GET", "/v1/rooms?all=true").json["items"]
    there = _as_room(room, target, restored["id"])

    deleted = target("DELETE", f"/v1/rooms/{restored['id']}")
    record = there.settle(deleted)

    assert record.result == {"files": 121}
    assert len(files_of(room.owner, room.room_id)) == 121
    room.others = [there]


def test_a_restoration_beyond_the_quota_fails_and_leaves_nothing(
    services: Services, room: Room, member_of: Callable[..., Member], target: Member
) -> None:
    filled(room)
    archive = exported(services, member_of(room.org_id, "admin"))
    limit(services, 100_000)

    record = restore(services, target, archive)

    assert record.error is not None
    assert (record.state, record.error["code"]) == ("failed", "over-quota")
    room.others = [_as_room(room, target, "")]
    room.clean()


def test_an_archive_that_was_written_while_people_worked_is_made_to_agree(
    services: Services,
    room: Room,
    make_room: Callable[..., Room],
    member_of: Callable[..., Member],
    target: Member,
) -> None:
    """Its parts are of different moments: a link came after its file was read, a room was being deleted."""
    second, deleted = make_room(room.org_id), make_room(room.org_id)
    file_id = room.share(b"shared twice", "a.txt")["file_id"]
    deleted.share(b"going with its room", "b.txt")
    scope = services.scope(room.org_id)
    second.share(b"shared twice", "a.txt")
    scope[FILES].update_one({"_id": file_id}, {"$set": {"links": 1}})  # as it was when the archive came by
    deleted.owner("DELETE", f"/v1/rooms/{deleted.room_id}")  # its job has not run yet
    admin = member_of(room.org_id, "admin")
    archive = exported(services, admin)
    scope[FILES].update_one({"_id": file_id}, {"$set": {"links": 2}})

    record = restore(services, target, archive)

    assert record.state == "succeeded", record.error
    rooms = target("GET", "/v1/rooms?all=true").json["items"]
    assert [one["files"] for one in rooms] == [1, 1]
    assert target("GET", "/v1/storage").json["stored_bytes"] == len(b"shared twice")
    first, last = (one["id"] for one in rooms)
    (file,) = target("GET", f"/v1/rooms/{first}/files").json["items"]
    assert target("DELETE", f"/v1/rooms/{first}/files/{file['id']}").status_code == 204
    assert list(files_of(target, last).values()) == [b"shared twice"]
    room.others = [_as_room(room, target, first)]


@pytest.mark.parametrize("after", [1, 3, 60])
def test_a_restoration_that_is_cut_off_goes_on_and_doubles_nothing(
    room: Room, member_of: Callable[..., Member], target: Member, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    filled(room)
    services = room.services
    archive = exported(services, member_of(room.org_id, "admin"))
    save, count = services.blobs.save, [0]

    def dies(*what: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] == after + 1:  # the first one is the upload
            raise KeyboardInterrupt
        return save(*what, **options)

    accepted = target("POST", "/v1/archives/restorations", data=archive, content_type="application/zip")
    with monkeypatch.context() as deadly:
        deadly.setattr(services.blobs, "save", dies)
        member = Slot(services).take("organizations")
        assert member is not None
        claimed = services.jobs.claim(member, "dies")
        assert claimed is not None
        with pytest.raises(KeyboardInterrupt):
            Slot(services).run(claimed)
    Slot(services).write(claimed, Outcome("given_back"))
    Slot(services).step("organizations")

    assert services.jobs.get(target.org_id, accepted.json["id"]).state == "succeeded"
    (restored,) = target("GET", "/v1/rooms?all=true").json["items"]
    assert files_of(target, restored["id"]) == files_of(room.owner, room.room_id)
    room.others = [_as_room(room, target, restored["id"])]


@pytest.mark.parametrize("mode", ["pooled", "dedicated"])
def test_a_purge_takes_the_bytes_along_and_leaves_those_of_others(
    services: Services, make_room: Callable[..., Room], member_of: Callable[..., Member], mode: str
) -> None:
    org_id = make_organization(services, "Gone")
    if mode == "dedicated":
        place(services, org_id)
    stays, gone = make_room(), make_room(org_id)
    filled(stays)
    filled(gone)
    gone.send(b"never imported", "a.txt")
    killed_upload(services, org_id)
    deleted = member_of(org_id, "admin")("DELETE", f"/v1/organizations/{org_id}")
    finish(services, deleted.json["id"])
    purge = services.control.jobs.find_one({"kind": "organizations.purge"})
    assert purge is not None

    services.control.jobs.update_one({"_id": purge["_id"]}, {"$set": {"run_at": services.clock.now()}})
    services.lanes.forget("organizations", [entry_of(purge).member])
    assert finish(services, purge["_id"]).result == {"purged": True}

    mine = {one["blob_id"] for one in services.scope(stays.org_id)[FILES].find()}
    mine |= {one["_id"] for one in services.scope(stays.org_id)[LOOSE_BLOBS].find()}
    assert blobs_in(services) <= mine
    assert len(files_of(stays.owner, stays.room_id)) == 121
    check(services, [stays.org_id], blobs_in(services))
    gone.others = stays.others = []


def killed_upload(services: Services, org_id: OrgId) -> None:
    """Leave what an upload leaves whose process died."""
    scope, blobs = services.scope(org_id), services.blobs
    upload = Upload(scope, blobs, services.clock, limit_bytes=10**9, max_bytes=10, announced_bytes=5)
    upload.begin()
    upload.save([b"hello"])
