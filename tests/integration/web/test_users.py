"""People of an organization: added, invited, changed, removed; the last admin stays, the hundredth is the last."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.errors import Conflict
from common.ids import PLATFORM, OrgId, new_id
from common.organizations import people
from common.organizations.passwords import hash_password
from common.organizations.person import Person
from common.services import Services
from tests.integration.conftest import make_person
from tests.integration.web.conftest import Member, problem_of

PASSWORD = "a long password of his"
Json = dict[str, Any]


def made(answer: Any, status: int = 201) -> Json:
    assert answer.status_code == status, answer.text
    found: Json = answer.json
    return found


def events(admin: Member, *types: str) -> list[Json]:
    """Return what happened of these types."""
    return [one for one in admin("GET", "/v1/events?limit=200").json["items"] if one["type"] in types]


def sign_in(client: FlaskClient, services: Services, org_id: OrgId, email: str, password: str = PASSWORD) -> Any:
    slug = services.registry.get(org_id).slug
    return client.post("/v1/auth/token", json={"organization": slug, "email": email, "password": password})


def test_a_person_with_a_password_may_come_in_at_once(
    admin: Member, anonymous: FlaskClient, services: Services
) -> None:
    asked = {"email": "Bob@Acme.example", "name": "Bob", "password": PASSWORD}

    bob = made(admin("POST", "/v1/users", json=asked))

    assert (bob["email"], bob["role"], bob["state"]) == ("bob@acme.example", "member", "active")
    assert "invitation" not in bob
    assert sign_in(anonymous, services, admin.org_id, "BOB@acme.example").status_code == 200
    assert admin("GET", f"/v1/users/{bob['id']}").json["name"] == "Bob"
    assert events(admin, "UserCreated")[0]["data"] == {"user_id": bob["id"], "role": "member"}


def test_an_invited_person_joins_with_the_token_once(
    admin: Member, anonymous: FlaskClient, services: Services
) -> None:
    bob = made(admin("POST", "/v1/users", json={"email": "bob@acme.example"}))
    token = bob["invitation"]["token"]
    assert (bob["state"], sign_in(anonymous, services, admin.org_id, bob["email"]).status_code) == ("invited", 401)

    joined = anonymous.post("/v1/auth/password", json={"token": token, "password": PASSWORD})

    headers = {"Authorization": f"Bearer {made(joined, 200)['access_token']}"}
    assert anonymous.get("/v1/users", headers=headers).status_code == 200
    assert sign_in(anonymous, services, admin.org_id, bob["email"]).status_code == 200
    problem_of(anonymous.post("/v1/auth/password", json={"token": token, "password": PASSWORD}), 404)
    assert [one["type"] for one in events(admin, "UserInvited", "UserJoined")] == ["UserInvited", "UserJoined"]
    assert token not in str(list(services.control.users.find()))


def test_an_invitation_is_over_after_its_time(
    admin: Member, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "INVITATION_LASTS", people.INVITATION_LASTS * 0)
    bob = made(admin("POST", "/v1/users", json={"email": "bob@acme.example"}))
    asked = {"token": bob["invitation"]["token"], "password": PASSWORD}

    problem_of(anonymous.post("/v1/auth/password", json=asked), 404)

    assert admin("GET", f"/v1/users/{bob['id']}").json["state"] == "invited"


def test_an_invitation_is_used_once_by_twenty_at_once(admin: Member, services: Services) -> None:
    token = made(admin("POST", "/v1/users", json={"email": "bob@acme.example"}))["invitation"]["token"]
    together, found = threading.Barrier(20), []

    def join() -> None:
        person = services.people.claimed(token)
        together.wait()
        try:
            services.people.set_password(person, "$hash", by="x")
            found.append("joined")
        except people.Stale:
            found.append("late")

    run([join] * 20)

    assert found.count("joined") == 1
    assert len(found) == 20


def test_a_forgotten_password_is_set_anew_with_an_admins_token(
    admin: Member, anonymous: FlaskClient, services: Services
) -> None:
    bob = made(admin("POST", "/v1/users", json={"email": "bob@acme.example", "password": "the old password"}))
    before = sign_in(anonymous, services, admin.org_id, bob["email"], "the old password").json

    reset = made(admin("POST", f"/v1/users/{bob['id']}/password", json={}), 200)["reset"]
    assert sign_in(anonymous, services, admin.org_id, bob["email"], "the old password").status_code == 200
    made(anonymous.post("/v1/auth/password", json={"token": reset["token"], "password": PASSWORD}), 200)

    assert sign_in(anonymous, services, admin.org_id, bob["email"], "the old password").status_code == 401
    assert sign_in(anonymous, services, admin.org_id, bob["email"]).status_code == 200
    problem_of(anonymous.post("/v1/auth/refresh", json={"refresh_token": before["refresh_token"]}), 401)


def test_ones_own_password_needs_the_old_one_and_ends_the_other_sessions(
    admin: Member, anonymous: FlaskClient, services: Services
) -> None:
    bob = made(admin("POST", "/v1/users", json={"email": "bob@acme.example", "password": "the old password"}))
    here, there = (
        sign_in(anonymous, services, admin.org_id, bob["email"], "the old password").json for _ in range(2)
    )
    own, path = {"Authorization": f"Bearer {here['access_token']}"}, f"/v1/users/{bob['id']}/password"
    asked = {"current_password": "wrong", "new_password": PASSWORD}

    problem = problem_of(anonymous.post(path, json=asked, headers=own), 422)
    assert problem["errors"][0]["pointer"] == "/current_password"
    asked["current_password"] = "the old password"
    assert anonymous.post(path, json=asked, headers=own).status_code == 204

    assert anonymous.get("/v1/users", headers=own).status_code == 200
    other = {"Authorization": f"Bearer {there['access_token']}"}
    assert anonymous.get("/v1/users", headers=other).status_code == 401
    made(anonymous.post("/v1/auth/refresh", json={"refresh_token": here["refresh_token"]}), 200)
    problem_of(anonymous.post("/v1/auth/refresh", json={"refresh_token": there["refresh_token"]}), 401)


def test_nobody_chooses_another_persons_password(admin: Member, member_of: Callable[..., Member]) -> None:
    bob = member_of(admin.org_id, "member")
    both = {"current_password": "x", "new_password": PASSWORD}

    problem_of(admin("POST", f"/v1/users/{bob.user_id}/password", json=both), 422)
    problem_of(bob("POST", f"/v1/users/{admin.user_id}/password", json={}), 403)

    assert events(admin, "PasswordChanged", "PasswordResetIssued") == []


def test_a_member_changes_the_own_name_and_nothing_else(admin: Member, member_of: Callable[..., Member]) -> None:
    bob = member_of(admin.org_id, "member")

    assert bob("PATCH", f"/v1/users/{bob.user_id}", json={"name": "Robert"}).json["name"] == "Robert"
    for path, change in (
        (bob.user_id, {"role": "admin"}),
        (bob.user_id, {"name": "x", "role": "admin"}),
        (bob.user_id, {"state": "disabled"}),
        (admin.user_id, {"name": "x"}),
    ):
        problem_of(bob("PATCH", f"/v1/users/{path}", json=change), 403)
    problem_of(bob("POST", "/v1/users", json={"email": "x@acme.example"}), 403)
    problem_of(bob("DELETE", f"/v1/users/{admin.user_id}"), 403)
    assert {one["role"] for one in bob("GET", "/v1/users").json["items"]} == {"admin", "member"}


def test_an_address_is_once_in_an_organization_and_again_in_another(admin: Member, stranger: Member) -> None:
    asked = {"email": "bob@acme.example"}
    made(admin("POST", "/v1/users", json=asked))

    problem_of(admin("POST", "/v1/users", json={"email": "BOB@acme.example"}), 409)
    theirs = made(stranger("POST", "/v1/users", json=asked))

    mine = [one["id"] for one in admin("GET", "/v1/users").json["items"] if one["email"] == asked["email"]]
    assert len(mine) == 1
    assert theirs["id"] not in mine


def test_the_same_key_makes_one_person_and_shows_no_secret_again(admin: Member) -> None:
    headers = {"Idempotency-Key": "one"}
    asked = {"email": "bob@acme.example"}

    first = made(admin("POST", "/v1/users", json=asked, headers=headers))
    again = problem_of(admin("POST", "/v1/users", json=asked, headers=headers), 409)
    problem_of(admin("POST", "/v1/users", json={"email": "eve@acme.example"}, headers=headers), 422)

    assert again["made"] == f"/v1/users/{first['id']}"
    known = {"email": "ada@acme.example", "password": PASSWORD}
    one, two = (made(admin("POST", "/v1/users", json=known, headers={"Idempotency-Key": "k"})) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("method", "change"), [("PATCH", {"role": "member"}), ("PATCH", {"state": "disabled"}), ("DELETE", {})]
)
def test_the_last_active_admin_stays(admin: Member, services: Services, method: str, change: Json) -> None:
    make_person(services, admin.org_id, state="disabled")
    path = f"/v1/users/{admin.user_id}"

    problem = problem_of(admin(method, path, json=change), 409)

    assert "last active admin" in problem["detail"]
    make_person(services, admin.org_id)
    assert admin(method, path, json=change).status_code in {200, 204}


def run(works: list[Callable[[], None]]) -> None:
    """Do all at once."""
    threads = [threading.Thread(target=work) for work in works]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)


def test_ten_admins_who_remove_one_another_at_once_leave_one(services: Services, org_id: OrgId) -> None:
    admins = [make_person(services, org_id) for _ in range(10)]
    together, refused = threading.Barrier(10), []

    def remove(one: Person) -> None:
        together.wait()
        try:
            services.people.remove(one, by="test")
        except Conflict:
            refused.append(one)

    run([lambda one=one: remove(one) for one in admins])  # type: ignore[misc]

    assert len(services.people.page(org_id, after="", limit=20)) == 1
    assert len(refused) == 1


def test_a_hundredth_admin_is_the_last_however_many_are_asked_for_at_once(
    services: Services, org_id: OrgId
) -> None:
    for _ in range(95):
        make_person(services, org_id)
    together, refused = threading.Barrier(10), []

    def add(number: int) -> None:
        together.wait()
        try:
            services.people.add(
                org_id, email=f"{number}@x.example", name="", role="admin", password_hash="$h", by="test"
            )
        except Conflict:
            refused.append(number)

    run([lambda n=n: add(n) for n in range(10)])  # type: ignore[misc]

    assert services.control.users.count_documents({"org_id": org_id, "role": "admin"}) == 100
    assert len(refused) == 5


def test_events_are_numbered_without_a_gap_whatever_happens_at_once(services: Services, org_id: OrgId) -> None:
    make_person(services, org_id)

    def add(number: int) -> None:
        services.people.add(
            org_id, email=f"{number}@x.example", name="", role="member", password_hash="$h", by="test"
        )

    run([lambda n=n: add(n) for n in range(20)])  # type: ignore[misc]

    numbers = [one["number"] for one in services.control.events.find({"org_id": org_id}).sort("number", 1)]
    assert numbers == list(range(1, 21))


def test_a_change_for_an_older_version_changes_nothing(admin: Member) -> None:
    bob = made(admin("POST", "/v1/users", json={"email": "bob@acme.example", "password": PASSWORD}))
    path = f"/v1/users/{bob['id']}"
    version = admin("GET", path).headers["ETag"]
    assert admin("PATCH", path, json={"name": "B"}, headers={"If-Match": version}).status_code == 200

    problem_of(admin("PATCH", path, json={"name": "C"}, headers={"If-Match": version}), 412)
    problem_of(admin("DELETE", path, headers={"If-Match": version}), 412)

    assert admin("GET", path).json["name"] == "B"


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"email": "no address"}, "/email"),
        ({"email": "a@b\u200b.example"}, "/email"),
        ({"email": {"$ne": None}}, "/email"),
        ({"email": "a@b.example", "role": "operator"}, "/role"),
        ({"email": "a@b.example", "role": "root"}, "/role"),
        ({"email": "a@b.example", "password": "short"}, "/password"),
        ({"email": "a@b.example", "org_id": new_id()}, "/org_id"),
        ({"email": "a@b.example", "state": "active"}, "/state"),
        ({"email": "a@b.example", "epoch": 7}, "/epoch"),
    ],
)
def test_what_can_not_be_a_person_is_refused_by_name(admin: Member, asked: Json, pointer: str) -> None:
    problem = problem_of(admin("POST", "/v1/users", json=asked), 422)

    assert problem["errors"][0]["pointer"] == pointer


def test_operators_make_operators_and_no_admins(operator: Member, services: Services) -> None:
    made(operator("POST", "/v1/users", json={"email": "op2@platform.example", "password": PASSWORD}))

    problem_of(operator("POST", "/v1/users", json={"email": "x@x.example", "role": "admin"}), 422)

    assert {one.role for one in services.people.page(PLATFORM, after="", limit=10)} == {"operator"}


def test_an_operator_helps_a_last_admin_who_forgot_the_password(
    admin: Member, operator: Member, anonymous: FlaskClient, services: Services
) -> None:
    path = f"/v1/operations/users/{admin.user_id}/password"
    problem_of(admin("POST", path), 403)

    reset = made(operator("POST", path), 200)["reset"]
    made(anonymous.post("/v1/auth/password", json={"token": reset["token"], "password": PASSWORD}), 200)

    email = services.people.get(admin.org_id, admin.user_id).email
    assert sign_in(anonymous, services, admin.org_id, email).status_code == 200
    assert services.audit.page(limit=1)[0]["action"] == "user.reset"
    problem_of(operator("POST", f"/v1/operations/users/{new_id()}/password"), 404)


def test_people_of_all_organizations_are_found_by_domain(
    admin: Member, stranger: Member, operator: Member
) -> None:
    for who in (admin, stranger):
        made(who("POST", "/v1/users", json={"email": "bob@Where.example"}))

    found = operator("GET", "/v1/operations/users?email_domain=where.EXAMPLE").json["items"]

    assert {one["org_id"] for one in found} == {admin.org_id, stranger.org_id}
    assert operator("GET", "/v1/operations/users?email_domain=else.example").json["items"] == []
    problem_of(admin("GET", "/v1/operations/users?email_domain=where.example"), 403)


def test_lists_are_paged_and_filtered(admin: Member, services: Services) -> None:
    for _ in range(7):
        make_person(services, admin.org_id, "member")
    seen: list[str] = []
    path = "/v1/users?limit=3&role=member"
    while path:
        page = admin("GET", path)
        seen += [one["id"] for one in page.json["items"]]
        cursor = page.json["next_cursor"]
        path = f"/v1/users?limit=3&role=member&cursor={cursor}" if cursor else ""

    assert len(set(seen)) == len(seen) == 7


def test_a_password_is_hashed_with_what_the_settings_say() -> None:
    assert hash_password(PASSWORD).startswith("$argon2id$")


def test_whoever_asks_in_the_same_moment_gets_an_answer_of_the_contract(
    admin: Member, app: Flask, services: Services
) -> None:
    bob = make_person(services, admin.org_id, "member")
    token = services.people.issue_reset(bob, by="test").token
    together, statuses = threading.Barrier(12), list[int]()

    def ask(number: int) -> None:
        together.wait()
        if number % 2:
            asked = {"token": token, "password": PASSWORD}
            statuses.append(app.test_client().post("/v1/auth/password", json=asked).status_code)
        else:
            statuses.append(admin("POST", f"/v1/users/{bob.user_id}/password", json={}).status_code)

    run([lambda n=n: ask(n) for n in range(12)])  # type: ignore[misc]

    assert len(statuses) == 12
    assert set(statuses) <= {200, 404, 503}
