"""Organizations: what everybody sees, what their own people see, and another slug while all goes on."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from common.ids import OrgId, new_id
from common.organizations import slugs
from common.services import Services
from common.tickets.collections import TICKETS
from tests.integration.conftest import Slot, caller_of, make_organization, token_of
from tests.integration.web.conftest import Member, problem_of

Json = dict[str, Any]
WRITERS = 50


@pytest.fixture
def path(admin: Member) -> str:
    """Return the organization's address."""
    return f"/v1/organizations/{admin.org_id}"


def slug_of(services: Services, org_id: OrgId) -> str:
    return services.registry.get(org_id, fresh=True).slug


def test_everybody_sees_the_public_part_and_a_cache_may_keep_it(anonymous: FlaskClient, path: str) -> None:
    answer = anonymous.get(path)

    assert set(answer.json) == {"id", "name", "slug"}
    assert answer.headers["Cache-Control"] == "public, max-age=3600, stale-while-revalidate=60"
    assert "Authorization" in answer.headers["Vary"]
    assert anonymous.get(f"/v1/organizations?slug={answer.json['slug']}").json == answer.json


def test_their_own_people_see_all_of_it_and_no_cache_keeps_it(
    admin: Member, stranger: Member, operator: Member, path: str
) -> None:
    own = admin("GET", path)

    assert {"tier", "isolation", "state", "settings", "created_at"} <= set(own.json)
    assert own.headers["Cache-Control"] == "private, no-store"
    assert operator("GET", path).json == own.json
    theirs = stranger("GET", path)
    assert set(theirs.json) == {"id", "name", "slug"}
    assert theirs.headers["Cache-Control"] == "private, no-store"


def test_credentials_that_do_not_hold_are_not_taken_for_none(anonymous: FlaskClient, path: str) -> None:
    problem = problem_of(anonymous.get(path, headers={"Authorization": "Bearer x"}), 401)

    assert "name" not in problem
    assert anonymous.get(path).status_code == 200


def test_an_admin_changes_name_and_settings(admin: Member, path: str) -> None:
    settings = {"time_zone": "Europe/Berlin", "language": "de"}

    changed = admin("PATCH", path, json={"name": "Acme GmbH", "settings": settings})

    assert (changed.json["name"], changed.json["settings"]) == ("Acme GmbH", settings)
    less = admin("PATCH", path, json={"settings": {"language": None}}).json["settings"]
    assert less == {"time_zone": "Europe/Berlin"}
    (event, _) = [one for one in admin("GET", "/v1/events").json["items"] if one["type"] == "OrganizationUpdated"]
    assert event["data"] == {"fields": ["name", "settings"]}


def test_a_member_changes_nothing(admin: Member, member_of: Callable[..., Member], path: str) -> None:
    before = admin("GET", path).json

    problem_of(member_of(admin.org_id, "member")("PATCH", path, json={"name": "x"}), 403)

    assert admin("GET", path).json == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"slug": "admin"}, "/slug"),
        ({"slug": "A"}, "/slug"),
        ({"name": " "}, "/name"),
        ({"settings": {"time_zone": "Mars/Olympus"}}, "/settings/time_zone"),
        ({"settings": {"language": "de_DE"}}, "/settings/language"),
        ({"settings": {"$set": 1}}, "/settings/$set"),
        ({"tier": "enterprise"}, "/tier"),
        ({"state": "active"}, "/state"),
        ({"revision": 1}, "/revision"),
    ],
)
def test_what_can_not_be_is_refused_by_name(admin: Member, path: str, change: Json, pointer: str) -> None:
    assert problem_of(admin("PATCH", path, json=change), 422)["errors"][0]["pointer"] == pointer


def test_a_change_for_an_older_version_changes_nothing(admin: Member, path: str) -> None:
    version = admin("GET", path).headers["ETag"]
    admin("PATCH", path, json={"name": "One"})

    problem_of(admin("PATCH", path, json={"name": "Two"}, headers={"If-Match": version}), 412)

    assert admin("GET", path).json["name"] == "One"


def test_the_old_slug_is_nobodys_for_a_day_and_then_free(
    admin: Member, stranger: Member, anonymous: FlaskClient, services: Services, path: str
) -> None:
    old = slug_of(services, admin.org_id)

    assert admin("PATCH", path, json={"slug": "brand-new"}).json["slug"] == "brand-new"

    problem_of(anonymous.get(f"/v1/organizations?slug={old}"), 404)
    assert anonymous.get("/v1/organizations?slug=brand-new").json["id"] == admin.org_id
    theirs = f"/v1/organizations/{stranger.org_id}"
    for taken in (old, "brand-new"):
        problem_of(stranger("PATCH", theirs, json={"slug": taken}), 409)
    services.control.slugs.update_one({"_id": old}, {"$set": {"free_at": services.clock.now()}})
    assert stranger("PATCH", theirs, json={"slug": old}).json["slug"] == old


def test_an_organization_may_take_its_old_slug_back(admin: Member, services: Services, path: str) -> None:
    old = slug_of(services, admin.org_id)
    admin("PATCH", path, json={"slug": "brand-new"})

    assert admin("PATCH", path, json={"slug": old}).json["slug"] == old
    assert admin("PATCH", path, json={"slug": "brand-new"}).json["slug"] == "brand-new"
    assert timedelta(hours=24) == slugs.KEPT_FOR


def test_a_slug_that_was_given_up_is_taken_for_a_sign_up(
    admin: Member, anonymous: FlaskClient, services: Services, path: str
) -> None:
    old = slug_of(services, admin.org_id)
    admin("PATCH", path, json={"slug": "brand-new"})
    asked = {"name": "X", "slug": old, "admin": {"email": "a@b.example", "password": "long enough"}}

    problem_of(anonymous.post("/v1/organizations", json=asked), 409)
    services.control.slugs.update_one({"_id": old}, {"$set": {"free_at": services.clock.now()}})
    assert anonymous.post("/v1/organizations", json=asked).status_code == 202


def test_two_who_want_one_slug_at_once_get_it_once(services: Services) -> None:
    orgs = [services.registry.get(make_organization(services, f"o{n}"), fresh=True) for n in range(8)]
    together, found = threading.Barrier(8), []

    def want(one: Any) -> None:
        together.wait()
        try:
            services.life.change(one, {"slug": "wanted"}, by="test")
            found.append(one.org_id)
        except Exception as error:  # noqa: BLE001 (its type is looked at)
            found.append(type(error).__name__)

    run([lambda one=one: want(one) for one in orgs])  # type: ignore[misc]

    assert sorted(found)[1:] == ["Conflict"] * 7
    assert services.registry.by_slug("wanted").org_id in found  # type: ignore[union-attr]


def run(works: list[Callable[[], None]]) -> None:
    """Do all at once."""
    threads = [threading.Thread(target=work) for work in works]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)


@pytest.mark.parametrize("mode", ["pooled", "dedicated"])
def test_another_slug_under_fifty_writers_and_jobs_loses_and_misplaces_nothing(
    services: Services, mode: str
) -> None:
    org_id = make_organization(services, "Busy")
    other = make_organization(services, "Other")
    if mode == "dedicated":
        place(services, org_id)
    ended, together, changes = threading.Event(), threading.Barrier(WRITERS + 2), []
    written: list[str] = []
    jobs: list[str] = []

    def write(number: int) -> None:
        together.wait()
        while not ended.is_set():
            ticket = new_id()
            scope = services.registry.scope(org_id)
            document = {"_id": ticket, "source_id": "s", "natural_key": ticket, "message": f"of {number}"}
            scope.transaction(lambda inner, document=document: inner[TICKETS].insert_one(document))  # type: ignore[misc]
            written.append(ticket)

    def submit() -> None:
        from common.probe.be_quick import BeQuick

        together.wait()
        while not ended.is_set():
            jobs.append(services.submit(caller_of(org_id), BeQuick()).id)

    def rename() -> None:
        together.wait()
        for number in range(30):
            was = services.registry.get(org_id, fresh=True)
            changes.append(services.life.change(was, {"slug": f"slug-{number}"}, by="test").slug)
        ended.set()

    run([*(lambda n=n: write(n) for n in range(WRITERS)), submit, rename])  # type: ignore[misc, list-item]

    kept = {one["_id"] for one in services.registry.scope(org_id)[TICKETS].find({})}
    assert changes == [f"slug-{number}" for number in range(30)]
    assert kept == set(written)
    assert services.registry.scope(other)[TICKETS].count_documents({}) == 0
    slot = Slot(services)
    while slot.step() is not None:
        pass
    assert {services.jobs.get(org_id, one).state for one in jobs} == {"succeeded"}
    updated = services.control.events.count_documents({"org_id": org_id, "type": "OrganizationUpdated"})
    assert updated == 30
    print(f"{mode}: {len(written)} tickets and {len(jobs)} jobs through 30 other slugs")


def place(services: Services, org_id: OrgId) -> None:
    """Give an organization collections of its own."""
    placement = {"mode": "dedicated", "database": services.settings.data_databases[0]}
    services.control.organizations.update_one({"_id": org_id}, {"$set": {"placement": placement}})
    services.registry.prepare(org_id, services.registry.get(org_id, fresh=True).placement)


def test_a_token_survives_another_slug(services: Services, org_id: OrgId, anonymous: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {token_of(services, org_id)}"}
    services.life.change(services.registry.get(org_id, fresh=True), {"slug": "other-slug"}, by="test")

    assert anonymous.get("/v1/jobs", headers=headers).status_code == 200


def test_an_operator_makes_an_organization_and_hands_it_over(
    operator: Member, anonymous: FlaskClient, provisioner: Slot, services: Services
) -> None:
    asked = {"name": "Handed", "slug": "handed", "tier": "standard", "admin": {"email": "eve@handed.example"}}
    answer = operator("POST", "/v1/organizations", json=asked)
    assert answer.status_code == 202, answer.text
    token = answer.json["invitation"]["token"]
    chosen = {"token": token, "password": "her own long password"}
    problem_of(anonymous.post("/v1/auth/password", json=chosen), 404)  # it is not there yet

    assert provisioner.step("organizations").state == "succeeded"

    joined = anonymous.post("/v1/auth/password", json=chosen).json
    headers = {"Authorization": f"Bearer {joined['access_token']}"}
    org_id = services.registry.by_slug("handed").org_id  # type: ignore[union-attr]
    assert anonymous.get(f"/v1/organizations/{org_id}", headers=headers).json["tier"] == "standard"
    events = anonymous.get("/v1/events", headers=headers).json["items"]
    assert [one["type"] for one in events] == [
        "OrganizationCreated",
        "AdminCreated",
        "UserJoined",
        "AdminLoggedIn",
    ]
    assert events[0]["actor"] == operator.user_id
