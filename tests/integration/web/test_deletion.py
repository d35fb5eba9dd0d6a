"""A deleted organization: nobody in, nothing runs, all back once it is restored, nothing left after a purge."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from common.probe.be_quick import BeQuick
from common.probe.have_children import HaveChildren
from common.probe.leave_marks import LeaveMarks
from flask.testing import FlaskClient

from common.ids import PLATFORM, OrgId
from common.jobs.record import FINAL, JobRecord, entry_of
from common.organizations.passwords import hash_password
from common.services import Services
from common.tickets.collections import TICKETS
from common.tickets.import_file import ImportFile
from tests.integration.conftest import Slot, caller_of, make_organization, make_person
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.test_organizations import place
from workers.runner import Outcome

PASSWORD = "a long password of hers"
Json = dict[str, Any]
QUEUES = ("organizations", "tickets")


def do(services: Services) -> None:
    """Do all that can be done now."""
    slot = Slot(services)
    for queue in QUEUES:  # as a worker's parent wakes what is due
        services.lanes.admit_all(services.jobs.wake(services.lanes.due(queue)[1]))
    while any(slot.step(queue) is not None for queue in QUEUES):
        pass


def finish(services: Services, job_id: str, within_s: float = 30) -> JobRecord:
    """Do what is due until the platform's job has ended."""
    sweep, ends = services.sweep(), time.monotonic() + within_s
    while (record := services.jobs.get(PLATFORM, job_id)).state not in FINAL:
        assert time.monotonic() < ends, record
        sweep.once()
        do(services)
    return record


def path_of(org_id: OrgId) -> str:
    return f"/v1/organizations/{org_id}"


def delete(admin: Member) -> Json:
    answer = admin("DELETE", path_of(admin.org_id))
    assert answer.status_code == 202, answer.text
    found: Json = answer.json
    return found


def test_nobody_comes_in_from_then_on(
    admin: Member, anonymous: FlaskClient, services: Services, stranger: Member
) -> None:
    hashed = hash_password(PASSWORD)
    ada = make_person(services, admin.org_id, email="ada@acme.example", password_hash=hashed)
    granted = services.sessions.begin(ada)
    key = admin("POST", "/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]}).json["token"]
    slug = services.registry.get(admin.org_id).slug

    accepted = delete(admin)

    for token in (admin.token, granted.access_token, key):
        problem_of(anonymous.get("/v1/jobs", headers={"Authorization": f"Bearer {token}"}), 401)
    asked = {"organization": slug, "email": "ada@acme.example", "password": PASSWORD}
    problem_of(anonymous.post("/v1/auth/token", json=asked), 401)
    problem_of(anonymous.get(path_of(admin.org_id)), 404)
    problem_of(stranger("GET", path_of(admin.org_id)), 404)
    problem_of(anonymous.get(f"/v1/organizations?slug={slug}"), 404)
    sign_up = {"name": "X", "slug": slug, "admin": {"email": "a@b.example", "password": PASSWORD}}
    problem_of(anonymous.post("/v1/organizations", json=sign_up), 409)
    own = {"Authorization": f"Bearer {accepted['job_token']}"}
    assert anonymous.get(f"/v1/jobs/{accepted['id']}", headers=own).json["kind"] == "organizations.delete"
    problem_of(anonymous.get("/v1/jobs", headers=own), 403)


@pytest.mark.parametrize("state", ["queued", "waiting"])
def test_what_waits_is_held_and_goes_on_as_it_was(
    admin: Member, operator: Member, services: Services, state: str
) -> None:
    run_at = services.clock.now() + timedelta(hours=1) if state == "waiting" else None
    jobs = [services.submit(caller_of(admin.org_id), BeQuick(), run_at=run_at) for _ in range(3)]
    accepted = delete(admin)

    assert finish(services, accepted["id"]).result == {"held": 3}

    for job in jobs:
        held = services.jobs.get(admin.org_id, job.id)
        assert (held.state, held.waiting_for) == ("waiting", {"reason": "organization_deleted"})
    shown = operator("GET", f"/v1/operations/jobs/{jobs[0].id}").json
    assert shown["waiting_for"]["reason"] == "organization_deleted"

    restored = operator("POST", f"{path_of(admin.org_id)}/restore", json={})
    assert finish(services, restored.json["id"]).result == {"released": 3}
    do(services)

    now = [services.jobs.get(admin.org_id, job.id) for job in jobs]
    if run_at is None:
        assert {one.state for one in now} == {"succeeded"}
    else:
        assert {(one.state, one.run_at) for one in now} == {("waiting", run_at)}
    assert admin("GET", "/v1/jobs").status_code == 200


def test_what_runs_is_asked_to_stop_and_held_then(admin: Member, services: Services) -> None:
    job = services.submit(caller_of(admin.org_id), LeaveMarks(steps=3, pause_s=0))
    slot = Slot(services)
    claimed = slot.claim(slot.take())  # type: ignore[arg-type]
    assert claimed is not None
    accepted = delete(admin)
    do(services)

    assert services.jobs.get(PLATFORM, accepted["id"]).waiting_for["reason"] == "jobs_stop"  # type: ignore[index]
    assert claimed.token in services.jobs.news([_held(claimed)]).asked_back
    assert slot.write(claimed, Outcome("given_back"))
    assert services.jobs.get(admin.org_id, job.id).state == "queued"
    finish(services, accepted["id"])

    held = services.jobs.get(admin.org_id, job.id)
    assert held.waiting_for == {"reason": "organization_deleted"}
    assert (held.attempt, held.losses) == (0, 0)


def _held(claimed: Any) -> Any:
    from common.jobs.leases import Held

    return Held(claimed.org_id, claimed.job_id, claimed.token)


def test_what_is_taken_after_the_deletion_is_held_by_its_worker(admin: Member, services: Services) -> None:
    delete(admin)
    job = services.submit(caller_of(admin.org_id), BeQuick())

    do(services)

    held = services.jobs.get(admin.org_id, job.id)
    assert held.waiting_for == {"reason": "organization_deleted"}


def test_what_a_slow_worker_holds_after_the_restore_is_released_too(
    admin: Member, operator: Member, services: Services
) -> None:
    job = services.submit(caller_of(admin.org_id), BeQuick())
    slot = Slot(services)
    claimed = slot.claim(slot.take())  # type: ignore[arg-type]
    assert claimed is not None
    finished = delete(admin)
    outcome = slot.run(claimed)
    assert outcome.ending == "held"
    restored = operator("POST", f"{path_of(admin.org_id)}/restore", json={}).json
    do(services)

    assert slot.write(claimed, outcome)  # late, by a lease that still holds
    assert services.jobs.get(admin.org_id, job.id).waiting_for == {"reason": "organization_deleted"}
    finish(services, restored["id"])
    do(services)

    assert services.jobs.get(admin.org_id, job.id).state == "succeeded"
    assert finished["kind"] == "organizations.delete"


def test_an_admin_restores_with_the_own_password(
    admin: Member, anonymous: FlaskClient, services: Services
) -> None:
    make_person(services, admin.org_id, email="ada@acme.example", password_hash=hash_password(PASSWORD))
    make_person(services, admin.org_id, "member", email="bob@acme.example", password_hash=hash_password(PASSWORD))
    delete(admin)
    path = f"{path_of(admin.org_id)}/restore"

    for email, password in (
        ("ada@acme.example", "not hers at all"),
        ("bob@acme.example", PASSWORD),
        ("nobody@acme.example", PASSWORD),
        ("no address", PASSWORD),
    ):
        problem_of(anonymous.post(path, json={"email": email, "password": password}), 401)
    asked = {"email": "Ada@acme.example", "password": PASSWORD}
    headers = {"Idempotency-Key": "r"}
    answer = anonymous.post(path, json=asked, headers=headers)

    assert answer.status_code == 202
    assert admin("GET", path_of(admin.org_id)).json["state"] == "active"
    problem_of(anonymous.post(path, json=asked), 409)
    assert problem_of(anonymous.post(path, json=asked, headers=headers), 409)["job"].endswith(answer.json["id"])
    types = [one["type"] for one in admin("GET", "/v1/events").json["items"]]
    assert types[-2:] == ["OrganizationDeleted", "OrganizationRestored"]


def test_deleting_and_restoring_is_for_whom_it_may_be(
    admin: Member, member_of: Callable[..., Member], stranger: Member, operator: Member, services: Services
) -> None:
    path = path_of(admin.org_id)
    problem_of(member_of(admin.org_id, "member")("DELETE", path), 403)
    problem_of(stranger("DELETE", path), 404)
    problem_of(admin("POST", f"{path}/restore", json={}), 409)
    version = admin("GET", path).headers["ETag"]
    admin("PATCH", path, json={"name": "Newer"})
    problem_of(admin("DELETE", path, headers={"If-Match": version}), 412)

    assert operator("DELETE", path).status_code == 202
    problem_of(operator("DELETE", path), 409)
    entries = [one["action"] for one in services.audit.page(limit=10)]
    assert "organization.delete" in entries


@pytest.mark.parametrize("mode", ["pooled", "dedicated"])
def test_a_purge_leaves_nothing_but_that_it_was(
    services: Services, operator: Member, member_of: Callable[..., Member], mode: str
) -> None:
    org_id, other = make_organization(services, "Gone"), make_organization(services, "Stays")
    if mode == "dedicated":
        place(services, org_id)
    admins = {one: member_of(one) for one in (org_id, other)}
    for one, who in admins.items():
        rows = [{"_id": f"{one}-{n}", "source_id": "s", "natural_key": str(n)} for n in range(2_500)]
        services.registry.scope(one)[TICKETS].insert_many(rows)
        services.submit(caller_of(one), BeQuick())
        who("POST", "/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]})
    blob = services.blobs.save([b"x"], max_bytes=10)
    services.submit(caller_of(org_id), ImportFile(blob_id=blob.id, filename="a", format="csv", mapping={}))
    slug = services.registry.get(org_id).slug
    before = everything_of(services, other)
    finish(services, delete(admins[org_id])["id"])
    purge = services.control.jobs.find_one({"kind": "organizations.purge"})
    assert purge is not None
    assert purge["run_at"] - services.clock.now() > timedelta(days=29.9)

    services.control.jobs.update_one({"_id": purge["_id"]}, {"$set": {"run_at": services.clock.now()}})
    services.lanes.forget("organizations", [entry_of(purge).member])  # the sweep brings them the other time
    assert finish(services, purge["_id"]).result == {"purged": True}

    assert everything_of(services, org_id) == {"organizations": 1}
    assert everything_of(services, other) == before
    assert not services.blobs.exists(blob.id)
    tombstone = services.control.organizations.find_one({"_id": org_id})
    assert tombstone is not None
    assert set(tombstone) == {"_id", "slug", "state", "purged_at"}
    assert services.control.slugs.find_one({"_id": slug}) is None
    problem_of(operator("GET", path_of(org_id)), 404)
    problem_of(operator("POST", f"{path_of(org_id)}/restore", json={}), 404)


def everything_of(services: Services, org_id: OrgId) -> dict[str, int]:
    """Count what there is of an organization, by collection, in all databases."""
    found: dict[str, int] = {}
    for name in (services.settings.control_database, *services.settings.data_databases):
        database = services._mongo[name]
        for collection in database.list_collection_names():
            mine = {"$or": [{"org_id": org_id}, {"_id": org_id}, {"payload.of_org": org_id}]}
            kept = database[collection].count_documents(mine)
            if collection == "jobs":
                kept -= database[collection].count_documents({"org_id": PLATFORM, "payload.of_org": org_id})
            if kept or org_id in collection:
                found[collection] = kept
    return found


def test_a_restored_organization_is_not_purged(admin: Member, operator: Member, services: Services) -> None:
    delete(admin)
    deletion_id = services.control.jobs.find_one({"kind": "organizations.purge"})["_id"]  # type: ignore[index]
    operator("POST", f"{path_of(admin.org_id)}/restore", json={})
    assert services.jobs.get(PLATFORM, deletion_id).state == "cancelled"

    services.submitter.retry(PLATFORM, deletion_id)  # and if it had been left

    assert finish(services, deletion_id).result == {"purged": False}
    assert admin("GET", path_of(admin.org_id)).json["state"] == "active"


def test_who_is_being_purged_can_not_be_restored(admin: Member, operator: Member, services: Services) -> None:
    delete(admin)
    services.control.organizations.update_one({"_id": admin.org_id}, {"$set": {"state": "purging"}})

    assert "over" in problem_of(operator("POST", f"{path_of(admin.org_id)}/restore", json={}), 409)["detail"]


def test_a_parent_whose_last_child_ended_while_it_was_held_goes_on(
    admin: Member, operator: Member, services: Services
) -> None:
    parent = services.submit(caller_of(admin.org_id), HaveChildren(count=1))
    slot = Slot(services)
    slot.step()
    claimed = slot.claim(slot.take())  # type: ignore[arg-type]
    assert claimed is not None
    assert claimed.parent_id == parent.id
    outcome = slot.run(claimed)
    delete(admin)
    do(services)
    assert services.jobs.get(admin.org_id, parent.id).waiting_for == {"reason": "organization_deleted"}

    assert slot.write(claimed, outcome)  # the child had no checkpoint left to stop at
    restored = operator("POST", f"{path_of(admin.org_id)}/restore", json={})
    finish(services, restored.json["id"])
    do(services)

    ended = services.jobs.get(admin.org_id, parent.id)
    assert (ended.state, ended.result["succeeded"]) == ("succeeded", 1)


def test_a_parent_that_was_held_with_its_children_goes_on_after_them(
    admin: Member, operator: Member, services: Services
) -> None:
    parent = services.submit(caller_of(admin.org_id), HaveChildren(count=3))
    Slot(services).step()
    accepted = delete(admin)
    assert finish(services, accepted["id"]).result == {"held": 4}

    restored = operator("POST", f"{path_of(admin.org_id)}/restore", json={})
    finish(services, restored.json["id"])
    do(services)

    ended = services.jobs.get(admin.org_id, parent.id)
    assert (ended.state, ended.result["succeeded"]) == ("succeeded", 3)


def test_a_job_that_was_cancelled_while_it_was_held_is_released_to_nothing_older(
    admin: Member, operator: Member, services: Services
) -> None:
    later = services.clock.now() + timedelta(hours=1)
    job = services.submit(caller_of(admin.org_id), LeaveMarks(steps=1, trouble="defer", defer_s=600))
    accepted = delete(admin)
    finish(services, accepted["id"])
    services.submitter.cancel(admin.org_id, job.id)
    finish(services, operator("POST", f"{path_of(admin.org_id)}/restore", json={}).json["id"])
    services.submitter.retry(admin.org_id, job.id)
    do(services)
    waits = services.jobs.get(admin.org_id, job.id)
    assert waits.waiting_for is not None
    assert waits.waiting_for["reason"] == "a test"

    finish(services, delete(admin)["id"])
    finish(services, operator("POST", f"{path_of(admin.org_id)}/restore", json={}).json["id"])

    again = services.jobs.get(admin.org_id, job.id)
    assert (again.state, again.waiting_for, again.run_at) == ("waiting", waits.waiting_for, waits.run_at)
    assert again.run_at is not None
    assert again.run_at < later
