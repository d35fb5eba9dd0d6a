"""Rooms: made once, seen by those who are in them, changed by their owners, gone for everybody at once."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.errors import AutoReconnect
from werkzeug.test import TestResponse

from common.errors import NotFound
from common.files import rooms
from common.files.audit_log import Entry
from common.files.collections import AUDIT_LOG, ROOM_MEMBERS, ROOMS
from common.files.delete_room import DeleteRoom
from common.files.rooms import Rooms, mark_deleted, require_active
from common.ids import OrgId, is_id, new_id
from common.services import Services
from common.tenancy.scope import OrgScope
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


def said(answer: TestResponse) -> dict[str, Any]:
    """Return a problem without what differs by nature."""
    return {name: value for name, value in answer.json.items() if name not in {"instance", "request_id"}}


def test_who_makes_a_room_owns_it(ada: Member) -> None:
    answer = ada("POST", "/v1/rooms", json={"name": "Spring", "description": "What we show.\nIn May."})

    made = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == made["links"]["self"] == f"/v1/rooms/{made['id']}"
    assert is_id(made["id"])
    assert (made["name"], made["description"]) == ("Spring", "What we show.\nIn May.")
    assert (made["created_by"], made["role"], made["members"], made["files"]) == (ada.user_id, "owner", 1, 0)
    shown = ada("GET", f"/v1/rooms/{made['id']}")
    assert (shown.json, shown.headers["ETag"]) == (made, answer.headers["ETag"])
    (entry,) = entries(ada, room_id=made["id"])
    assert (entry["action"], entry["actor_id"]) == ("room.created", ada.user_id)
    assert entry["request_id"] == answer.headers["X-Request-ID"]


def test_a_room_of_others_is_like_one_that_never_was(ada: Member, bob: Member, stranger: Member) -> None:
    theirs, nobodys = (f"/v1/rooms/{one}" for one in (make_room(ada)["id"], new_id()))

    for who in (bob, stranger):
        for method, end, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "x"}),
            ("DELETE", "", None),
            ("GET", "/members", None),
            ("PUT", f"/members/{bob.user_id}", {"role": "owner"}),
            ("DELETE", f"/members/{ada.user_id}", None),
            ("DELETE", f"/members/{who.user_id}", None),
        ):
            theirs_said, nobodys_said = (
                who(method, path + end, json=body, headers=ANY) for path in (theirs, nobodys)
            )
            problem_of(theirs_said, 404)
            assert said(theirs_said) == said(nobodys_said), (method, end)


def test_everybody_lists_their_own_rooms_the_newest_first(ada: Member, bob: Member, admin: Member) -> None:
    made = [make_room(ada, f"Room {number}")["id"] for number in range(7)]
    make_room(bob, "Bob's")
    let_in(ada, made[3], bob, "viewer")
    seen, path = list[str](), "/v1/rooms?limit=3"

    while path:
        page = ada("GET", path)
        seen += [one["id"] for one in page.json["items"]]
        make_room(ada, "came meanwhile")
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert seen == made[::-1]
    assert [(one["name"], one["role"]) for one in bob("GET", "/v1/rooms").json["items"]] == [
        ("Bob's", "owner"),
        ("Room 3", "viewer"),
    ]
    assert admin("GET", "/v1/rooms").json["items"] == []


def test_an_admin_lists_all_rooms_and_nobody_else_does(ada: Member, admin: Member, stranger: Member) -> None:
    made = [make_room(ada)["id"], make_room(admin)["id"], make_room(ada)["id"]]
    make_room(stranger)
    seen, cursor = list[dict[str, Any]](), None

    while not seen or cursor:
        query = {"all": "true", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = admin("GET", "/v1/rooms", query_string=query).json
        seen, cursor = seen + page["items"], page["next_cursor"]

    assert [one["id"] for one in seen] == made[::-1]
    assert [one["role"] for one in seen] == [None, "owner", None]
    problem_of(ada("GET", "/v1/rooms?all=true"), 403)


def test_a_page_is_full_also_where_many_rooms_were_just_deleted(ada: Member, services: Services) -> None:
    made = [make_room(ada)["id"] for _ in range(12)]
    for one in made[4:11]:
        ada("DELETE", f"/v1/rooms/{one}")

    page = ada("GET", "/v1/rooms?limit=3").json

    assert [one["id"] for one in page["items"]] == [made[11], made[3], made[2]]
    rest = ada("GET", f"/v1/rooms?limit=3&cursor={page['next_cursor']}").json
    assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == ([made[1], made[0]], None)
    assert len(stored(services, ada.org_id, ROOM_MEMBERS)) == 12


def test_an_owner_changes_what_a_room_is_called(ada: Member) -> None:
    room = make_room(ada, description="before")
    path = f"/v1/rooms/{room['id']}"
    tag = ada("GET", path).headers["ETag"]

    changed = ada("PATCH", path, json={"name": "After"}, headers={"If-Match": tag})

    assert (changed.json["name"], changed.json["description"]) == ("After", "before")
    assert changed.json["updated_at"] >= room["updated_at"]
    assert changed.headers["ETag"] == ada("GET", path).headers["ETag"] != tag
    entry = entries(ada, room_id=room["id"])[0]
    assert (entry["action"], entry["detail"]) == (
        "room.changed",
        {"changes": {"name": {"old": "A room", "new": "After"}}},
    )


def test_a_change_for_an_older_version_changes_nothing(ada: Member) -> None:
    path = f"/v1/rooms/{make_room(ada)['id']}"
    old = {"If-Match": ada("GET", path).headers["ETag"]}
    ada("PATCH", path, json={"name": "New"})

    problem_of(ada("PATCH", path, json={"name": "Late"}, headers=old), 412)
    problem_of(ada("PATCH", path, json={}, headers=old), 412)
    problem_of(ada("DELETE", path, headers=old), 412)

    assert ada("GET", path).json["name"] == "New"
    assert ada("PATCH", path, json={"name": "Any"}, headers=ANY).status_code == 200


def test_of_ten_changes_of_one_version_at_once_one_is_made(ada: Member, app: Any) -> None:
    path = f"/v1/rooms/{make_room(ada)['id']}"
    tag = ada("GET", path).headers["ETag"]
    statuses = list[int]()

    def change(number: int) -> None:
        headers = {"If-Match": tag, "Authorization": f"Bearer {ada.token}"}
        answer = app.test_client().patch(path, json={"name": f"By {number}"}, headers=headers)
        statuses.append(answer.status_code)

    at_once([lambda number=number: change(number) for number in range(10)])  # type: ignore[misc]

    assert sorted(statuses) == [200] + [412] * 9


def test_what_changes_nothing_is_no_change(ada: Member) -> None:
    room = make_room(ada)
    path = f"/v1/rooms/{room['id']}"
    tag = ada("GET", path).headers["ETag"]

    for body in ({}, {"name": "A room"}, {"description": ""}):
        assert ada("PATCH", path, json=body).headers["ETag"] == tag

    assert [one["action"] for one in entries(ada, room_id=room["id"])] == ["room.created"]


def test_files_that_come_change_what_is_shown_and_not_what_a_change_is_for(
    ada: Member, services: Services
) -> None:
    path = f"/v1/rooms/{make_room(ada)['id']}"
    tag = ada("GET", path).headers["ETag"]
    services.scope(ada.org_id).transaction(lambda scope: require_active(scope, path.rsplit("/", 1)[1], files=2))

    shown = ada("GET", path, headers={"If-None-Match": tag})

    assert (shown.status_code, shown.json["files"]) == (200, 2)
    assert ada("GET", path, headers={"If-None-Match": shown.headers["ETag"]}).status_code == 304
    assert ada("PATCH", path, json={"name": "New"}, headers={"If-Match": tag}).status_code == 200


def test_a_deleted_room_is_gone_for_everybody_at_once_and_a_job_empties_it(
    ada: Member, bob: Member, admin: Member, services: Services
) -> None:
    room_id = make_room(ada)["id"]
    let_in(ada, room_id, bob, "editor")

    answer = ada("DELETE", f"/v1/rooms/{room_id}")

    assert (answer.status_code, answer.json["kind"]) == (202, DeleteRoom.name)
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['id']}"
    assert services.control.jobs.find_one({"_id": answer.json["id"]})["payload"] == {"room_id": room_id}
    for who in (ada, bob, admin):
        problem_of(who("GET", f"/v1/rooms/{room_id}"), 404)
        problem_of(who("DELETE", f"/v1/rooms/{room_id}"), 404)
        problem_of(who("GET", f"/v1/rooms/{room_id}/members"), 404)
        problem_of(
            who("PUT", f"/v1/rooms/{room_id}/members/{ada.user_id}", json={"role": "owner"}, headers=ANY), 404
        )
        assert who("GET", "/v1/rooms").json["items"] == []
    assert admin("GET", "/v1/rooms?all=true").json["items"] == []
    gone = entries(admin, room_id=room_id, action="room.deleted")
    assert [(one["actor_id"], one["job_id"]) for one in gone] == [(ada.user_id, answer.json["id"])]


def test_a_deletion_that_is_cut_off_is_finished_by_its_job(
    ada: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = make_room(ada)["id"]
    monkeypatch.setattr(rooms, "mark_deleted", _cut_off)

    problem_of(ada("DELETE", f"/v1/rooms/{room_id}"), 503)

    job = services.control.jobs.find_one({"org_id": ada.org_id, "kind": DeleteRoom.name})
    assert job["payload"] == {"room_id": room_id}
    scope, entry = services.scope(ada.org_id), deletion_of(services, room_id)
    assert [mark_deleted(scope, entry), mark_deleted(scope, entry)] == [True, False]
    problem_of(ada("GET", f"/v1/rooms/{room_id}"), 404)
    assert len(list(scope[AUDIT_LOG].find({"action": "room.deleted"}))) == 1


def _cut_off(*_: Any, **__: Any) -> None:
    raise AutoReconnect("cut off")


def deletion_of(services: Services, room_id: str) -> Entry:
    """Return what is written down of a deletion."""
    return Entry("room.deleted", room_id, actor_id="somebody", at=services.clock.now(), request_id="a-request")


def test_what_is_written_in_a_room_and_its_deletion_meet(ada: Member, services: Services) -> None:
    room_id, runs = make_room(ada)["id"], list[int]()
    scope = services.scope(ada.org_id)

    def work(inner: OrgScope) -> None:
        assert inner[ROOMS].find_one({"_id": room_id}) is not None
        runs.append(1)
        if len(runs) == 1:
            mark_deleted(scope, deletion_of(services, room_id))  # by somebody else, who is done first
        require_active(inner, room_id, files=1)

    with pytest.raises(NotFound):
        scope.transaction(work)

    assert len(runs) == 2
    assert stored(services, ada.org_id, ROOMS)[0]["files"] == 0
    with pytest.raises(NotFound):
        require_active(scope, new_id())


def test_a_deletion_takes_back_nothing_that_was_written_before_it(ada: Member, services: Services) -> None:
    room_id, runs = make_room(ada)["id"], list[int]()
    scope = services.scope(ada.org_id)

    def delete(inner: OrgScope) -> bool:
        assert inner[ROOMS].find_one({"_id": room_id}) is not None
        runs.append(1)
        if len(runs) == 1:
            scope.transaction(lambda other: require_active(other, room_id))
        return mark_deleted(inner, deletion_of(services, room_id))

    assert scope.transaction(delete)

    assert len(runs) == 2


def test_the_same_key_gives_the_same_answer_and_one_room(ada: Member, bob: Member, services: Services) -> None:
    headers = {"Idempotency-Key": "one"}

    first, again = (ada("POST", "/v1/rooms", json={"name": "A"}, headers=headers) for _ in range(2))
    others = bob("POST", "/v1/rooms", json={"name": "A"}, headers=headers)

    assert first.status_code == again.status_code == others.status_code == 201
    assert (first.data, first.headers["ETag"]) == (again.data, again.headers["ETag"])
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert others.json["id"] != first.json["id"]
    assert len(stored(services, ada.org_id, ROOMS)) == 2
    problem = problem_of(ada("POST", "/v1/rooms", json={"name": "B"}, headers=headers), 422)
    assert problem["type"] == "/problems/idempotency-key-reused"


def test_forty_at_once_with_one_key_make_one_room(ada: Member, app: Any, services: Services) -> None:
    headers = {"Authorization": f"Bearer {ada.token}", "Idempotency-Key": "once"}
    answers = list[TestResponse]()

    def ask() -> None:
        answers.append(app.test_client().post("/v1/rooms", json={"name": "A"}, headers=headers))

    at_once([ask] * 40)

    assert {one.status_code for one in answers} <= {201, 409}
    assert len({one.data for one in answers if one.status_code == 201}) == 1
    assert len(stored(services, ada.org_id, ROOMS)) == len(stored(services, ada.org_id, ROOM_MEMBERS)) == 1
    assert [one["action"] for one in stored(services, ada.org_id, AUDIT_LOG)] == ["room.created"]


def test_who_was_cut_off_between_the_key_and_the_room_makes_it_by_asking_again(
    ada: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": "one"}
    with monkeypatch.context() as cut:
        cut.setattr(Rooms, "_make", _cut_off)
        problem_of(ada("POST", "/v1/rooms", json={"name": "A", "description": "B"}, headers=headers), 503)
    assert stored(services, ada.org_id, ROOMS) == []

    first, again = (
        ada("POST", "/v1/rooms", json={"name": "A", "description": "B"}, headers=headers) for _ in range(2)
    )

    assert first.status_code == again.status_code == 201
    assert first.data == again.data
    assert ada("GET", first.headers["Location"]).json == first.json
    assert ada("GET", first.headers["Location"]).headers["ETag"] == first.headers["ETag"]
    assert len(stored(services, ada.org_id, ROOMS)) == 1
    assert [one["action"] for one in entries(ada, room_id=first.json["id"])] == ["room.created"]


def test_a_key_that_is_used_again_later_does_not_bring_a_deleted_room_back(
    ada: Member, services: Services
) -> None:
    headers = {"Idempotency-Key": "one"}
    made = ada("POST", "/v1/rooms", json={"name": "A"}, headers=headers)
    ada("DELETE", made.headers["Location"])
    services.scope(ada.org_id)[ROOMS].delete_many({})  # as its job may leave it
    services.scope(ada.org_id)[ROOM_MEMBERS].delete_many({})

    again = ada("POST", "/v1/rooms", json={"name": "A"}, headers=headers)

    assert (again.status_code, again.data) == (201, made.data)
    assert stored(services, ada.org_id, ROOMS) == stored(services, ada.org_id, ROOM_MEMBERS) == []


def test_one_room_too_many_is_refused_and_made_with_the_same_key_once_there_is_room(
    ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "ROOMS_MOST", 2)
    made = [make_room(ada)["id"] for _ in range(2)]
    headers = {"Idempotency-Key": "third"}

    for _ in range(2):
        problem = problem_of(ada("POST", "/v1/rooms", json={"name": "A"}, headers=headers), 409)
        assert "at most 2 rooms" in problem["detail"]
    ada("DELETE", f"/v1/rooms/{made[0]}")

    third = ada("POST", "/v1/rooms", json={"name": "A"}, headers=headers)
    assert third.status_code == 201
    assert ada("GET", third.headers["Location"]).status_code == 200


def test_the_last_room_is_the_last_however_many_are_asked_for_at_once(
    ada: Member, app: Any, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "ROOMS_MOST", 10)
    make_room(ada)
    statuses = list[int]()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {ada.token}"}
        statuses.append(app.test_client().post("/v1/rooms", json={"name": "A"}, headers=headers).status_code)

    at_once([ask] * 30)

    assert sorted(statuses) == [201] * 9 + [409] * 21
    assert len(stored(services, ada.org_id, ROOMS)) == 10


def test_two_rooms_may_be_called_alike_and_names_are_kept_composed(ada: Member) -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"

    one, two = make_room(ada, composed), make_room(ada, decomposed)

    assert one["id"] != two["id"]
    assert one["name"] == two["name"] == composed


@pytest.mark.parametrize(
    "name", ["🏳️‍🌈 team", "=cmd|'/c calc'!A1", "$where", "a.b/c:*{}", "{{7*7}}", "İstanbul", "x" * 200, "م‌ن"]
)
def test_a_name_comes_back_to_the_letter(ada: Member, name: str) -> None:
    made = make_room(ada, name)

    assert ada("GET", f"/v1/rooms/{made['id']}").json["name"] == name


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": " a"}, "/name"),
        ({"name": "a\u00a0"}, "/name"),
        ({"name": "\u200d"}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "a\u0000b"}, "/name"),
        ({"name": "a\u001b[31mb"}, "/name"),
        ({"name": "a\u202egpj.exe"}, "/name"),
        ({"name": "a\u2066b"}, "/name"),
        ({"name": "a\u200bb"}, "/name"),
        ({"name": "a\ufeffb"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "x" * 5_000}, "/name"),
        ({"name": None}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": ["a"]}, "/name"),
        ({"name": {"$ne": None}}, "/name"),
        ({"name": "a", "description": "x" * 2_001}, "/description"),
        ({"name": "a", "description": "a\u202eb"}, "/description"),
        ({"name": "a", "description": {"$gt": ""}}, "/description"),
        ({"name": "a", "org_id": new_id()}, "/org_id"),
        ({"name": "a", "_id": new_id()}, "/_id"),
        ({"name": "a", "state": "deleted"}, "/state"),
        ({"name": "a", "revision": 7}, "/revision"),
        ({"name": "a", "members": []}, "/members"),
    ],
)
def test_what_can_not_be_a_room_is_refused_by_name(
    ada: Member, services: Services, body: dict[str, Any], pointer: str
) -> None:
    problem = problem_of(ada("POST", "/v1/rooms", json=body), 422)

    assert pointer in {fault["pointer"] for fault in problem["errors"]}
    assert stored(services, ada.org_id, ROOMS) == []


def test_a_room_keeps_its_name_where_the_new_one_is_none(ada: Member) -> None:
    path = f"/v1/rooms/{make_room(ada)['id']}"

    for body, pointer in (({"name": "a\u202eb"}, "/name"), ({"files": 7}, "/files"), ({"role": "x"}, "/role")):
        assert problem_of(ada("PATCH", path, json=body), 422)["errors"][0]["pointer"] == pointer

    assert ada("GET", path).json["name"] == "A room"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "cursor=YWJj", "cursor=%00", "all=maybe", "all[$ne]=x", "org_id=x", "state=x"],
)
def test_a_bad_parameter_of_the_list_is_named(ada: Member, query: str) -> None:
    problem = problem_of(ada("GET", f"/v1/rooms?{query}"), 422)

    assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]


@pytest.mark.parametrize("given", ["nonsense", 'W/"a"', '"a"', ""])
def test_an_etag_that_is_not_the_rooms_own_changes_nothing(ada: Member, given: str) -> None:
    path = f"/v1/rooms/{make_room(ada)['id']}"

    answer = ada("PATCH", path, json={"name": "New"}, headers={"If-Match": given})

    assert answer.status_code == (422 if given == "" else 412), answer.text
    assert ada("GET", path).json["name"] == "A room"


def test_a_key_needs_the_scope_of_files(admin: Member, app: Any) -> None:
    def key(*scopes: str) -> Member:
        made = admin("POST", "/v1/api-keys", json={"name": "k", "scopes": list(scopes)}).json
        return Member(app.test_client(), admin.org_id, made["token"], made["id"])

    reader, writer, other = key("files:read"), key("files:read", "files:write"), key("tickets:write")

    made = make_room(writer)
    assert made["created_by"] == f"key:{writer.user_id}"
    assert writer("GET", f"/v1/rooms/{made['id']}").json["role"] == "owner"
    assert reader("GET", "/v1/rooms").json["items"] == []
    problem_of(reader("GET", f"/v1/rooms/{made['id']}"), 404)
    problem_of(reader("POST", "/v1/rooms", json={"name": "A"}), 403)
    problem_of(other("GET", "/v1/rooms"), 403)
