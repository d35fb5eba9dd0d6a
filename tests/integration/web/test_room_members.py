"""Who is in a room: let in, given another role, taken out; the last owner stays, whatever is asked at once."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from common.caller import Caller
from common.errors import Conflict, Forbidden, NotFound
from common.files import members
from common.files.collections import ROOM_MEMBERS, ROOMS
from common.files.room import find_room
from common.ids import OrgId, new_id
from common.services import Services
from tests.integration.conftest import make_person
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import ANY, at_once, entries, let_in, make_room, stored

MemberOf = Callable[..., Member]


@pytest.fixture
def ada(member_of: MemberOf, org_id: OrgId) -> Member:
    """Return a member of the organization."""
    return member_of(org_id, "member")


@pytest.fixture
def bob(member_of: MemberOf, org_id: OrgId) -> Member:
    """Return another one."""
    return member_of(org_id, "member")


@pytest.fixture
def room(ada: Member) -> str:
    """Return the path of a room of Ada's."""
    return f"/v1/rooms/{make_room(ada)['id']}"


def id_of(room: str) -> str:
    return room.rsplit("/", 1)[1]


def roles(who: Member, room: str) -> dict[str, str]:
    """Return who is in a room, by id."""
    return {one["user_id"]: one["role"] for one in who("GET", f"{room}/members").json["items"]}


def put(who: Member, room: str, user_id: str, role: str, **headers: str) -> Any:
    return who("PUT", f"{room}/members/{user_id}", json={"role": role}, headers=headers or ANY)


def test_an_owner_lets_somebody_in_and_gives_them_another_role(ada: Member, bob: Member, room: str) -> None:
    tag = ada("GET", room).headers["ETag"]

    came = put(ada, room, bob.user_id, "viewer", **{"If-Match": tag})
    changed = put(ada, room, bob.user_id, "editor", **{"If-Match": came.headers["ETag"]})

    assert (came.status_code, changed.status_code) == (201, 200)
    assert (came.json["user_id"], came.json["role"], changed.json["role"]) == (bob.user_id, "viewer", "editor")
    assert came.json["email"] == f"{bob.user_id}@acme.example"
    assert roles(bob, room) == {ada.user_id: "owner", bob.user_id: "editor"}
    shown = bob("GET", room)
    assert (shown.json["role"], shown.json["members"]) == ("editor", 2)
    assert shown.headers["ETag"] == changed.headers["ETag"]
    log = entries(ada, room_id=id_of(room), action="member.set")
    assert [(one["subject_id"], one["detail"]) for one in log] == [
        (bob.user_id, {"role": "editor", "was": "viewer"}),
        (bob.user_id, {"role": "viewer", "was": None}),
    ]


def test_the_same_role_again_is_no_change(ada: Member, bob: Member, room: str) -> None:
    first = put(ada, room, bob.user_id, "viewer")

    again = put(ada, room, bob.user_id, "viewer", **{"If-Match": first.headers["ETag"]})

    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["ETag"] == first.headers["ETag"]
    assert len(entries(ada, room_id=id_of(room), action="member.set")) == 1


def test_a_role_is_given_for_the_room_as_it_was_read(ada: Member, bob: Member, room: str) -> None:
    old = ada("GET", room).headers["ETag"]
    put(ada, room, bob.user_id, "viewer")
    path = f"{room}/members/{bob.user_id}"

    problem = problem_of(ada("PUT", path, json={"role": "owner"}), 428)
    assert problem["type"] == "/problems/precondition-required"
    for role in ("owner", "viewer"):
        problem_of(put(ada, room, bob.user_id, role, **{"If-Match": old}), 412)
    problem_of(ada("DELETE", path, headers={"If-Match": old}), 412)

    assert roles(ada, room)[bob.user_id] == "viewer"


@pytest.mark.parametrize("given", ["", "nonsense", 'W/"x"', '"' + "x" * 5_000 + '"'])
def test_no_role_is_given_for_another_etag(ada: Member, bob: Member, room: str, given: str) -> None:
    answer = put(ada, room, bob.user_id, "viewer", **{"If-Match": given})

    problem_of(answer, 412 if given else 422)
    assert roles(ada, room) == {ada.user_id: "owner"}


@pytest.mark.parametrize("by_admin", [False, True])
def test_the_last_owner_stays_one(ada: Member, bob: Member, admin: Member, room: str, *, by_admin: bool) -> None:
    who = admin if by_admin else ada
    let_in(ada, id_of(room), bob, "editor")
    tag = ada("GET", room).headers["ETag"]

    for answer in (
        put(who, room, ada.user_id, "viewer"),
        put(who, room, ada.user_id, "editor", **{"If-Match": tag}),
        who("DELETE", f"{room}/members/{ada.user_id}"),
    ):
        assert "last owner" in problem_of(answer, 409)["detail"]

    assert ada("GET", room).headers["ETag"] == tag
    assert len(entries(ada, room_id=id_of(room))) == 2
    let_in(ada, id_of(room), bob, "owner")
    assert who("DELETE", f"{room}/members/{ada.user_id}").status_code == 204
    assert roles(bob, room) == {bob.user_id: "owner"}


@pytest.mark.parametrize("role", ["viewer", "editor", "owner"])
def test_anybody_may_leave_and_sees_nothing_from_then_on(ada: Member, bob: Member, room: str, role: str) -> None:
    let_in(ada, id_of(room), bob, role)

    assert bob("DELETE", f"{room}/members/{bob.user_id}").status_code == 204

    problem_of(bob("GET", room), 404)
    problem_of(bob("DELETE", f"{room}/members/{bob.user_id}"), 404)
    assert bob("GET", "/v1/rooms").json["items"] == []
    gone = entries(ada, room_id=id_of(room), action="member.removed")
    assert [(one["actor_id"], one["subject_id"], one["detail"]) for one in gone] == [
        (bob.user_id, bob.user_id, {"was": role})
    ]
    assert ada("GET", room).json["members"] == 1


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_an_owner_says_who_is_in_a_room(
    ada: Member, bob: Member, member_of: MemberOf, room: str, role: str
) -> None:
    eve = member_of(ada.org_id, "member")
    let_in(ada, id_of(room), bob, role)
    let_in(ada, id_of(room), eve, "viewer")

    refused = [
        put(bob, room, bob.user_id, "owner"),
        put(bob, room, eve.user_id, "editor"),
        put(bob, room, new_id(), "viewer"),
        bob("DELETE", f"{room}/members/{eve.user_id}"),
        bob("DELETE", f"{room}/members/{new_id()}"),
    ]

    assert [problem_of(one, 403)["detail"] for one in refused] == [
        *["Only an owner of a room may give somebody a role in this room."] * 3,
        *["Only an owner of a room may remove somebody else from this room."] * 2,
    ]
    assert roles(bob, room) == {ada.user_id: "owner", bob.user_id: role, eve.user_id: "viewer"}


def test_an_admin_tends_a_room_that_they_are_not_in(ada: Member, bob: Member, admin: Member, room: str) -> None:
    assert put(admin, room, bob.user_id, "owner").status_code == 201
    assert admin("GET", room).json["role"] is None
    assert admin("DELETE", f"{room}/members/{ada.user_id}").status_code == 204
    problem_of(admin("DELETE", f"{room}/members/{admin.user_id}"), 404)

    assert roles(admin, room) == {bob.user_id: "owner"}


def test_only_who_is_in_the_organization_comes_into_a_room(ada: Member, stranger: Member, room: str) -> None:
    theirs, nobodys = (put(ada, room, one, "viewer") for one in (stranger.user_id, new_id()))

    assert problem_of(theirs, 404)["detail"] == problem_of(nobodys, 404)["detail"]
    assert roles(ada, room) == {ada.user_id: "owner"}


def test_an_api_key_may_be_in_a_room_and_works_there_as_its_role_lets_it(
    ada: Member, admin: Member, app: Flask, room: str
) -> None:
    asked = {"name": "nightly", "scopes": ["files:read", "files:write"]}
    made = admin("POST", "/v1/api-keys", json=asked).json
    key = Member(app.test_client(), ada.org_id, made["token"], made["id"])
    problem_of(key("GET", room), 404)

    assert put(ada, room, key.user_id, "viewer").json["email"] is None

    assert key("GET", room).json["role"] == "viewer"
    problem_of(key("PATCH", room, json={"name": "x"}), 403)
    assert roles(key, room) == {ada.user_id: "owner", key.user_id: "viewer"}
    assert key("DELETE", f"{room}/members/{key.user_id}").status_code == 204
    assert entries(ada, room_id=id_of(room))[0]["actor_id"] == f"key:{key.user_id}"


def test_members_are_paged_with_their_names_as_far_as_they_are_still_there(
    ada: Member, admin: Member, services: Services, room: str
) -> None:
    people = [make_person(services, ada.org_id, "member", name=f"Person {n}") for n in range(6)]
    for one in people:
        put(ada, room, one.user_id, "viewer")
    assert admin("DELETE", f"/v1/users/{people[2].user_id}").status_code == 204
    seen, path = list[Any](), f"{room}/members?limit=3"

    while path:
        page = ada("GET", path)
        seen += page.json["items"]
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert [one["user_id"] for one in seen] == [ada.user_id, *(one.user_id for one in people)]
    names = {one["user_id"]: (one["email"], one["name"]) for one in seen}
    assert names[people[1].user_id] == (people[1].email, "Person 1")
    assert names[people[2].user_id] == (None, None)


def test_the_last_place_in_a_room_is_the_last_however_many_come_at_once(
    ada: Member, services: Services, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MEMBERS_MOST", 5)
    refused = list[str]()

    def come() -> None:
        try:
            services.room_members.put(caller_of(ada), id_of(room), new_id(), "viewer", revision=None)
        except Conflict as error:
            refused.append(error.detail)

    at_once([come] * 12)

    assert refused == ["A room has at most 5 members."] * 8
    assert len(roles(ada, room)) == ada("GET", room).json["members"] == 5


def caller_of(who: Member) -> Caller:
    return Caller(org_id=who.org_id, user_id=who.user_id, role="member", request_id="a-request")


def test_two_owners_who_demote_each_other_at_once_always_leave_one(
    ada: Member, bob: Member, services: Services, room: str
) -> None:
    let_in(ada, id_of(room), bob, "owner")
    scope, room_id = services.scope(ada.org_id), id_of(room)
    found = list[str]()

    def demote(who: Member, whom: Member) -> None:
        try:
            services.room_members.put(caller_of(who), room_id, whom.user_id, "viewer", revision=None)
            found.append("demoted")
        except (Conflict, Forbidden) as error:
            found.append(type(error).__name__)

    for _ in range(30):
        at_once([lambda: demote(ada, bob), lambda: demote(bob, ada)])
        owners = [one["user_id"] for one in scope[ROOM_MEMBERS].find({"room_id": room_id, "role": "owner"})]
        assert len(owners) == 1
        one, other = (ada, bob) if owners == [ada.user_id] else (bob, ada)
        services.room_members.put(caller_of(one), room_id, other.user_id, "owner", revision=None)

    assert (found.count("demoted"), len(found)) == (30, 60)
    assert find_room(scope, room_id).revision == 1 + 60


def test_ten_owners_who_all_leave_at_once_leave_one(
    ada: Member, member_of: MemberOf, services: Services, room: str
) -> None:
    everybody = [ada, *(member_of(ada.org_id, "member") for _ in range(9))]
    for one in everybody[1:]:
        let_in(ada, id_of(room), one, "owner")
    refused = list[str]()

    def leave(who: Member) -> None:
        try:
            services.room_members.remove(caller_of(who), id_of(room), who.user_id, revision=None)
        except Conflict:
            refused.append(who.user_id)

    at_once([lambda one=one: leave(one) for one in everybody])  # type: ignore[misc]

    assert [one["user_id"] for one in stored(services, ada.org_id, ROOM_MEMBERS)] == refused
    assert stored(services, ada.org_id, ROOMS)[0]["members"] == len(refused) == 1


def test_who_was_demoted_meanwhile_gives_no_role_any_more(
    ada: Member, bob: Member, services: Services, room: str
) -> None:
    let_in(ada, id_of(room), bob, "owner")
    put(ada, room, bob.user_id, "viewer")

    with pytest.raises(Forbidden):  # as if its request had been let in before
        services.room_members.put(caller_of(bob), id_of(room), ada.user_id, "viewer", revision=None)
    services.room_members.remove(caller_of(bob), id_of(room), bob.user_id, revision=None)
    with pytest.raises(NotFound):
        services.room_members.put(caller_of(bob), id_of(room), ada.user_id, "viewer", revision=None)

    assert roles(ada, room) == {ada.user_id: "owner"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/role"),
        ({"role": "root"}, "/role"),
        ({"role": "admin"}, "/role"),
        ({"role": "Owner"}, "/role"),
        ({"role": None}, "/role"),
        ({"role": {"$ne": "viewer"}}, "/role"),
        ({"role": ["owner"]}, "/role"),
        ({"role": "viewer", "user_id": new_id()}, "/user_id"),
        ({"role": "viewer", "org_id": new_id()}, "/org_id"),
        ({"role": "viewer", "since": "2026-01-31T09:30:00Z"}, "/since"),
    ],
)
def test_what_is_no_role_is_refused_by_name(
    ada: Member, bob: Member, room: str, body: dict[str, Any], pointer: str
) -> None:
    answer = ada("PUT", f"{room}/members/{bob.user_id}", json=body, headers=ANY)

    assert problem_of(answer, 422)["errors"][0]["pointer"] == pointer
    assert roles(ada, room) == {ada.user_id: "owner"}


@pytest.mark.parametrize("query", ["limit=0", "cursor=YWJj", "cursor=%00", "role=owner", "user_id[$ne]=x"])
def test_a_bad_parameter_of_the_list_is_named(ada: Member, room: str, query: str) -> None:
    problem = problem_of(ada("GET", f"{room}/members?{query}"), 422)

    assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]
