"""Every operation in rooms and on files is guarded by its rights: generated from the document."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response

from common.files.collections import FILES, ROOM_FILES
from common.files.rights import NEEDS, ROOM_ROLES, Operation, RoomRole
from common.files.rooms import require_active
from common.ids import OrgId, new_id
from common.services import Services
from common.tenancy.scope import OrgScope
from tests.integration.web.attacks.conftest import body_of, operations
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import ANY, let_in, make_room
from web import room_access
from web.contract import replies
from web.contract.authentication import requires
from web.room_access import in_any_room_of_file, rooms_of_file

MemberOf = Callable[..., Member]
GUARDED = ("/v1/rooms", "/v1/files")
NAMES = {"{room_id}", "{file_id}"}


def guarded(app: Flask) -> Iterator[tuple[str, str, Any]]:
    """Go through the operations that name a room or a file: method, path and view."""
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<id:", "{").replace(">", "}")
        if path.startswith(GUARDED) and any(name in path for name in NAMES):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, path, app.view_functions[rule.endpoint]


def unguarded(app: Flask) -> list[str]:
    """Name the views that don't say what they do."""
    return sorted(
        {view.__name__ for _, _, view in guarded(app) if getattr(view, "operation", None) not in set(Operation)}
    )


def test_every_view_in_rooms_and_on_files_names_what_it_does(app: Flask) -> None:
    assert unguarded(app) == []
    assert len(list(guarded(app))) >= 6


def test_a_view_that_does_not_name_what_it_does_is_found(app: Flask) -> None:
    def forgotten(room_id: str) -> str:
        return room_id

    app.add_url_rule("/v1/rooms/<id:room_id>/forgotten", view_func=forgotten)

    assert unguarded(app) == ["forgotten"]


def test_every_operation_of_the_document_is_one_of_those(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    described = {
        (method, path)
        for method, path, _ in operations(document)
        if path.startswith(GUARDED) and any(name in path for name in NAMES)
    }

    assert described == {(method, path) for method, path, _ in guarded(app)}


def put_file(services: Services, org_id: OrgId, *room_ids: str) -> str:
    """Put a file into rooms, without an upload; return its id."""
    blob = services.blobs.save(iter([b"hello"]), max_bytes=10)
    file_id, now = new_id(), services.clock.now()
    file = {
        "_id": file_id,
        "sha256": new_id(),
        "size_bytes": blob.size_bytes,
        "blob_id": blob.id,
        "media_type": "text/plain",
        "found": {},
        "problem": None,
        "links": len(room_ids),
        "created_at": now,
    }
    link = {"file_id": file_id, "names": ["a.txt"], "added_by": "somebody", "added_at": now}

    def work(scope: OrgScope) -> None:
        scope[FILES].insert_one(file)
        for room_id in room_ids:
            scope[ROOM_FILES].insert_one({"_id": new_id(), "room_id": room_id, **link})
            require_active(scope, room_id, files=1)

    services.scope(org_id).transaction(work)
    return file_id


def test_each_role_is_let_in_where_the_table_says_and_nowhere_else(
    app: Flask, services: Services, org_id: OrgId, member_of: MemberOf
) -> None:
    owner, somebody, other = (member_of(org_id, "member") for _ in range(3))
    document = _document(owner)
    described = {(method, path): one for method, path, one in operations(document)}
    rows = list[str]()
    for method, path, view in list(guarded(app)):
        body = body_of(document, described[method, path])
        needed, told = NEEDS[view.operation], list[str]()
        for role in (None, *ROOM_ROLES):
            sent = _address(services, owner, path, other, (somebody, role), (other, "viewer"))

            answer = somebody(method, sent, json=body, headers=ANY if method == "PUT" else {})

            told.append(f"{role or 'none'} {answer.status_code}")
            if role is None:
                problem_of(answer, 404)
            elif ROOM_ROLES.index(role) < ROOM_ROLES.index(needed):
                assert problem_of(answer, 403)["detail"].endswith(f"may {view.operation}."), (method, sent)
            else:
                assert answer.status_code not in {403, 404}, (method, sent, role, answer.text)
        rows.append(f"{method:6} {path:42} {view.operation:34} {', '.join(told)}")
    print("", *rows, sep="\n")
    assert len(rows) >= 6


def _document(who: Member) -> dict[str, Any]:
    found: dict[str, Any] = who("GET", "/openapi.json").get_json()
    return found


def _address(
    services: Services, owner: Member, path: str, user: Member, *roles: tuple[Member, RoomRole | None]
) -> str:
    """Return *path* in a new room with a file, where everybody has the role that is said."""
    room_id = make_room(owner)["id"]
    for who, role in roles:
        if role is not None:
            let_in(owner, room_id, who, role)
    file_id = put_file(services, owner.org_id, room_id)
    names = {"{room_id}": room_id, "{file_id}": file_id, "{user_id}": user.user_id}
    for name, one_id in names.items():
        path = path.replace(name, one_id)
    assert "{" not in path, f"say what {path} names"
    return path


@pytest.fixture
def ask(app: Flask) -> Callable[[Member, str], Any]:
    """Return a function that asks which rooms of a file somebody sees."""

    @requires("admin", "member")
    @in_any_room_of_file(Operation.ADD_FILE)
    def probe(file_id: str) -> Response:
        seen = [{"id": one.room.room_id, "role": one.role, "names": one.link["names"]} for one in rooms_of_file()]
        return replies.one({"file": file_id, "rooms": seen})

    app.add_url_rule("/v1/files/<id:file_id>/probe", view_func=probe)
    return lambda who, file_id: who("GET", f"/v1/files/{file_id}/probe")


def test_a_file_is_seen_by_whom_a_room_that_has_it_is_open_to(
    ask: Callable[[Member, str], Any], services: Services, org_id: OrgId, member_of: MemberOf, stranger: Member
) -> None:
    ada, bob, eve, admin = (member_of(org_id, role) for role in ("member", "member", "member", "admin"))
    mine, ours, gone = (make_room(ada)["id"] for _ in range(3))
    let_in(ada, ours, bob, "editor")
    let_in(ada, gone, eve, "owner")
    file_id = put_file(services, org_id, mine, ours, gone)
    ada("DELETE", f"/v1/rooms/{gone}")

    assert {one["id"]: one["role"] for one in ask(ada, file_id).json["rooms"]} == {mine: "owner", ours: "owner"}
    assert ask(bob, file_id).json["rooms"] == [{"id": ours, "role": "editor", "names": ["a.txt"]}]
    assert {one["id"]: one["role"] for one in ask(admin, file_id).json["rooms"]} == {mine: None, ours: None}
    for who in (eve, stranger):  # of a room that is deleted, and of another organization
        absent = problem_of(ask(who, file_id), 404)
        assert absent["detail"] == problem_of(ask(who, new_id()), 404)["detail"] == "There is no such file."


def test_a_file_needs_one_room_where_the_role_is_enough(
    ask: Callable[[Member, str], Any],
    services: Services,
    org_id: OrgId,
    member_of: MemberOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_access, "BATCH", 3)
    monkeypatch.setattr(room_access, "VISIBLE_MOST", 2)
    ada, bob = (member_of(org_id, "member") for _ in range(2))
    rooms = [make_room(ada)["id"] for _ in range(8)]
    file_id = put_file(services, org_id, *rooms)
    for one in rooms[:7]:
        let_in(ada, one, bob, "viewer")

    refused = problem_of(ask(bob, file_id), 403)
    assert refused["detail"] == "Only an editor or owner of a room may add files to this room."

    let_in(ada, rooms[7], bob, "editor")
    seen = ask(bob, file_id).json["rooms"]
    assert len(seen) == 2
    assert (rooms[7], "editor") in {(one["id"], one["role"]) for one in seen}
