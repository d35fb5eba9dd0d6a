"""An organization is exported and restored into an empty one: the same documents, wherever it is cut off."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ids import JobId, OrgId, is_id, new_id
from common.jobs.record import JobRecord
from common.organizations import archive as archive_format
from common.organizations import archives
from common.organizations.archive import MANIFEST, SEAL, Ids, travelling
from common.services import Services
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tickets import tombstones
from common.tickets.collections import HISTORY, REFUSED_ROWS, TICKETS, TOMBSTONES
from common.tickets.history import entry
from tests.integration.conftest import Asked, Slot, make_organization, make_person
from tests.integration.tickets.counted import kept_counts, recounted
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.test_organizations import place

ROWS = 1_200
Json = dict[str, Any]


def fill(services: Services, org_id: OrgId) -> None:
    """Give an organization data of every kind."""
    at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    job_id = new_id()
    scope = services.registry.scope(org_id)
    scope[TICKETS].insert_many(
        [
            {
                "_id": new_id(),
                "source_id": "helpdesk",
                "natural_key": f"k{number}",
                "content_hash": bson.Binary(bytes([number % 256] * 16)),
                "message": f"$state $$ROOT $1.50 \u202e {number} " + "x" * (number % 300),
                "status": "open",
                "tags": ["a", "b"],
                "attributes": {"size": number, "ratio": number / 7},
                "created_at": at,
                "updated_at": None,
            }
            for number in range(ROWS)
        ]
    )
    first = next(scope[TICKETS].find({"natural_key": "k0"}))
    changes = {"attributes.$x.y": (None, "$$ROOT"), "tags": ([], ["a"]), "created_at": (None, at), "": (1, 1.5)}
    scope[HISTORY].insert_many(
        entry(first["_id"], "updated", changes, at=at, job_id=JobId(job_id), actor=new_id()) for _ in range(3)
    )
    tombstones.lay(scope, [tombstones.tombstone(first, deleted_by="source", at=at)])
    scope[REFUSED_ROWS].insert_many(
        [{"_id": new_id(), "job_id": job_id, "line": n, "column": None, "reason": "x"} for n in range(30)]
    )
    for number in range(5):
        make_person(services, org_id, "member", email=f"p{number}@acme.example", name=f"Person {number}")


@pytest.fixture
def source(member_of: Callable[..., Member], services: Services) -> Member:
    """Return an admin of an organization with data."""
    org_id = make_organization(services, "Source")
    fill(services, org_id)
    return member_of(org_id)


@pytest.fixture
def target(member_of: Callable[..., Member], services: Services) -> Member:
    """Return an admin of an empty organization."""
    return member_of(make_organization(services, "Target"))


def do(services: Services, who: Member, job_id: str) -> JobRecord:
    Slot(services).step("organizations")
    return services.jobs.get(who.org_id, job_id)


def exported(services: Services, who: Member) -> bytes:
    """Export and download."""
    accepted = who("POST", "/v1/archives")
    assert accepted.status_code == 202, accepted.text
    ended = do(services, who, accepted.json["id"])
    assert ended.state == "succeeded", ended.error
    answer = who("GET", ended.result["links"]["content"])
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert hashlib.sha256(answer.data).hexdigest() == ended.result["sha256"]
    return bytes(answer.data)


def restore(services: Services, who: Member, archive: bytes) -> JobRecord:
    accepted = who("POST", "/v1/archives/restorations", data=archive, content_type="application/zip")
    assert accepted.status_code == 202, accepted.text
    return do(services, who, accepted.json["id"])


def documents(services: Services, org_id: OrgId) -> dict[str, dict[str, Json]]:
    """Return all that travels, by collection and id, without whose it is."""
    scope = services.registry.scope(org_id)
    return {
        name: {
            one["_id"]: {key: value for key, value in one.items() if key != "org_id"}
            for one in scope[TENANT_COLLECTIONS[name]].find({})
        }
        for name in travelling()
    }


def renamed(ids: Ids, found: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    return {
        name: {ids.of(key): ids.renamed(one, TENANT_COLLECTIONS[name].references) for key, one in of_one.items()}
        for name, of_one in found.items()
    }


@pytest.mark.parametrize("mode", ["pooled", "dedicated"])
def test_what_is_restored_equals_what_was_exported_document_by_document(
    services: Services, source: Member, target: Member, mode: str
) -> None:
    if mode == "dedicated":
        place(services, target.org_id)

    ended = restore(services, target, exported(services, source))

    assert ended.state == "succeeded", ended.error
    before, after = documents(services, source.org_id), documents(services, target.org_id)
    assert after == renamed(Ids(source.org_id, target.org_id), before)
    compared = {name: len(of_one) for name, of_one in after.items() if of_one}
    assert compared == {"tickets": ROWS, "refused_rows": 30, "ticket_history": 3, "ticket_tombstones": 1}
    print(f"{mode}: compared one by one {compared}")
    scope = services.registry.scope(target.org_id)
    assert kept_counts(scope) == recounted(scope) != {}


def test_a_ticket_finds_its_history_and_its_tombstone_again(
    services: Services, source: Member, target: Member
) -> None:
    assert restore(services, target, exported(services, source)).state == "succeeded"

    scope = services.registry.scope(target.org_id)
    [ticket] = scope[TICKETS].find({"natural_key": "k0"})
    assert scope[HISTORY].count_documents({"ticket_id": ticket["_id"]}) == 3
    assert [one["_id"] for one in scope[TOMBSTONES].find()] == [ticket["_id"]]


@pytest.mark.slow
def test_tickets_of_many_words_are_restored_in_as_many_transactions_as_that_takes(
    services: Services, source: Member, target: Member
) -> None:
    tickets = services.registry.scope(source.org_id)[TICKETS]
    for number in range(48):
        message = " ".join(f"a{number}x{word:x}" for word in range(7_000))
        made = {"source_id": "s", "natural_key": f"w{number}", "message": message}
        tickets.insert_one({"_id": new_id(), **made, "created_at": datetime(2026, 1, 31, tzinfo=UTC)})

    ended = restore(services, target, exported(services, source))

    assert ended.state == "succeeded", ended.error
    assert services.registry.scope(target.org_id)[TICKETS].count_documents({}) == ROWS + 48


def test_people_come_back_invited_and_without_a_password(
    services: Services, source: Member, target: Member
) -> None:
    archive = exported(services, source)
    assert restore(services, target, archive).state == "succeeded"

    people = {one.email: one for one in services.people.page(target.org_id, after="", limit=50)}
    assert {f"p{n}@acme.example" for n in range(5)} <= set(people)
    assert {(one.state, one.password_hash) for one in people.values() if one.user_id != target.user_id} == {
        ("invited", None)
    }
    reset = target("POST", f"/v1/users/{people['p1@acme.example'].user_id}/password", json={}).json["reset"]
    asked = {"token": reset["token"], "password": "her own long password"}
    assert target.http.post("/v1/auth/password", json=asked).status_code == 200


def test_no_secret_is_in_an_archive(services: Services, source: Member) -> None:
    key = source("POST", "/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]}).json["token"]
    person = make_person(services, source.org_id, password_hash="$argon2id$canary-hash")
    services.people.issue_reset(person, by="test")

    with zipfile.ZipFile(io.BytesIO(exported(services, source))) as found:
        everything = b"".join(found.read(name) for name in found.namelist())

    for secret in (b"canary-hash", key[-20:].encode(), b'"claim"', b"password_hash"):
        assert secret not in everything
    assert hashlib.sha256(key.encode()).hexdigest().encode() not in everything


def test_a_restore_that_is_cut_off_anywhere_goes_on_and_doubles_nothing(
    services: Services, source: Member, target: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.organizations.import_archive.BATCH", 100)
    archive = exported(services, source)
    job = target("POST", "/v1/archives/restorations", data=archive, content_type="application/zip").json["id"]
    slot, runs = Slot(services), 0

    while services.jobs.get(target.org_id, job).state not in {"succeeded", "failed"}:
        member = slot.take("organizations")
        assert member is not None
        claimed = slot.claim(member)
        assert claimed is not None
        signals = CutsOff(after=8 + runs % 4)
        slot.write(claimed, slot.run(claimed, signals))
        runs += 1
        assert runs < 200

    assert services.jobs.get(target.org_id, job).state == "succeeded"
    assert runs > 2
    before, after = documents(services, source.org_id), documents(services, target.org_id)
    assert after == renamed(Ids(source.org_id, target.org_id), before)
    scope = services.registry.scope(target.org_id)
    assert kept_counts(scope) == recounted(scope) != {}
    print(f"equal after {runs} runs")


class CutsOff(Asked):
    """A worker that closes after some checkpoints."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def closing(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_an_organization_with_data_takes_no_archive(services: Services, source: Member, target: Member) -> None:
    archive = exported(services, source)
    services.registry.scope(target.org_id)[TICKETS].insert_one(
        {"_id": new_id(), "source_id": "s", "natural_key": "k"}
    )

    ended = restore(services, target, archive)

    assert (ended.state, ended.error["code"]) == ("failed", "organization-not-empty")  # type: ignore[index]
    assert len(documents(services, target.org_id)["tickets"]) == 1


def made_up(archive: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Return the archive with other files in it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        files = {name: found.read(name) for name in found.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def other_seal(files: dict[str, bytes]) -> None:
    files[SEAL] = b"0" * 64


def other_document(files: dict[str, bytes]) -> None:
    files["data/tickets.bson"] = files["data/tickets.bson"].replace(b"helpdesk", b"hellpesk", 1)


def other_manifest(files: dict[str, bytes]) -> None:
    manifest = orjson.loads(files[MANIFEST])
    manifest["members"][0]["documents"] += 1
    files[MANIFEST] = orjson.dumps(manifest)


def one_more(files: dict[str, bytes]) -> None:
    files["../../etc/passwd"] = b"x"


def bomb(files: dict[str, bytes]) -> None:
    files["data/tickets.bson"] = bytes(50_000_000)


@pytest.mark.parametrize(
    "change",
    [
        other_seal,
        other_document,
        other_manifest,
        one_more,
        bomb,
        lambda files: files.pop(MANIFEST),
        lambda files: files.pop("data/tickets.bson"),
    ],
)
def test_an_archive_that_we_did_not_write_restores_nothing(
    services: Services, source: Member, target: Member, change: Callable[[dict[str, bytes]], None]
) -> None:
    ended = restore(services, target, made_up(exported(services, source), change))

    assert (ended.state, ended.error["code"]) == ("failed", "archive-unreadable")  # type: ignore[index]
    assert not any(documents(services, target.org_id).values())


@pytest.mark.parametrize("content", [b"x", b"", b"PK\x03\x04" + b"\0" * 100, b"{}"])
def test_what_is_no_archive_restores_nothing(services: Services, target: Member, content: bytes) -> None:
    ended = restore(services, target, content)

    assert (ended.state, ended.error["code"]) == ("failed", "archive-unreadable")  # type: ignore[index]


def test_a_cut_archive_restores_nothing(services: Services, source: Member, target: Member) -> None:
    archive = exported(services, source)

    for cut in (len(archive) // 2, len(archive) - 1):
        assert restore(services, target, archive[:cut]).state == "failed"
    assert not any(documents(services, target.org_id).values())


def test_another_installations_archive_is_refused(
    services: Services, source: Member, target: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = exported(services, source)
    monkeypatch.setattr(services.keys, "_marking_keys", [b"another" * 5])

    assert restore(services, target, archive).state == "failed"


def test_archives_are_listed_downloaded_in_parts_and_deleted(services: Services, source: Member) -> None:
    whole = exported(services, source)
    (archive,) = source("GET", "/v1/archives").json["items"]
    path = archive["links"]["content"]

    part = source("GET", path, headers={"Range": "bytes=100-199"})

    assert (part.status_code, part.data) == (206, whole[100:200])
    assert source("GET", path, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert source("GET", path, headers={"If-None-Match": source("GET", path).headers["ETag"]}).status_code == 304
    assert 'filename="fairway-' in part.headers["Content-Disposition"]
    assert source("DELETE", f"/v1/archives/{archive['id']}").status_code == 204
    problem_of(source("GET", path), 404)
    assert source("GET", "/v1/archives").json["items"] == []


def test_so_many_archives_are_kept_and_each_is_an_event(
    services: Services, source: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ARCHIVES_MOST", 2)
    for _ in range(2):
        exported(services, source)

    ended = do(services, source, source("POST", "/v1/archives").json["id"])

    assert (ended.state, ended.error["code"]) == ("failed", "too-many-archives")  # type: ignore[index]
    types = [one["type"] for one in source("GET", "/v1/events").json["items"]]
    assert types.count("OrganizationExported") == 2
    source("DELETE", f"/v1/archives/{source('GET', '/v1/archives').json['items'][0]['id']}")
    exported(services, source)


def test_a_member_has_no_part_in_it(source: Member, member_of: Callable[..., Member]) -> None:
    bob = member_of(source.org_id, "member")
    for method, path in (("POST", "/v1/archives"), ("GET", "/v1/archives"), ("POST", "/v1/archives/restorations")):
        assert problem_of(bob(method, path), 403)["type"] == "/problems/forbidden", path


def test_the_body_must_be_an_archive_and_bounded(
    services: Services, target: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem_of(target("POST", "/v1/archives/restorations", json={}), 415)
    small = services.settings.model_copy(update={"archive_max_bytes": 10})
    monkeypatch.setattr(services, "settings", small)
    problem_of(target("POST", "/v1/archives/restorations", data=b"x" * 11, content_type="application/zip"), 413)
    assert not any(tmp_path.rglob("*/blobs/*/*"))


@given(st.uuids(version=None), st.integers(0, 2**48 - 1))
def test_new_ids_are_ids_that_keep_their_order(any_id: Any, instant: int) -> None:
    low = f"{instant:012x}"
    old = f"{low[:8]}-{low[8:]}-7{str(any_id)[15:18]}-8{str(any_id)[20:]}"
    ids = Ids(OrgId(new_id()), OrgId(new_id()))
    assert is_id(old)

    made = ids.of(old)

    assert is_id(made)
    assert made[:13] == old[:13]
    assert made != old
    assert ids.of(old) == made
    assert Ids(ids.was, ids.was).of(old) == old


def test_an_archive_is_written_in_flat_memory(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_format, "CHUNK_BYTES", 4_096)
    writer = archive_format.Writer(services.keys)
    biggest = 0

    for _ in writer.add_documents("data/x.bson", ({"_id": str(n), "noise": new_id()} for n in range(20_000))):
        biggest = max(biggest, len(writer.take()))

    assert biggest < 200_000
