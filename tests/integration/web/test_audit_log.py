"""The audit log: who may read what of it, page by page, and what that costs."""

import base64
import hashlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from common.files import audit_log
from common.files.audit_log import ACTIONS, NEWEST, Entry, Filter, Place
from common.files.collections import AUDIT_LOG
from common.ids import OrgId, new_id
from common.services import Services
from tests.integration.conftest import make_organization
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import ANY, entries, let_in, make_room

MemberOf = Callable[..., Member]
BEGIN = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MANY, SHOWN = 5_000, 50


@pytest.fixture
def ada(member_of: MemberOf, org_id: OrgId) -> Member:
    """Return a member of the organization."""
    return member_of(org_id, "member")


def test_an_admin_reads_all_and_an_owner_what_concerns_their_room(
    ada: Member, admin: Member, member_of: MemberOf, stranger: Member
) -> None:
    bob = member_of(ada.org_id, "member")
    mine, theirs = make_room(ada)["id"], make_room(bob)["id"]
    let_in(ada, mine, bob, "editor")

    assert [(one["room_id"], one["action"]) for one in entries(admin)] == [
        (mine, "member.set"),
        (theirs, "room.created"),
        (mine, "room.created"),
    ]
    assert [one["action"] for one in entries(ada, room_id=mine)] == ["member.set", "room.created"]
    assert entries(stranger) == entries(stranger, room_id=mine) == []
    problem_of(ada("GET", "/v1/audit-log"), 403)
    problem_of(ada("GET", f"/v1/audit-log?actor_id={ada.user_id}"), 403)
    forbidden = problem_of(bob("GET", f"/v1/audit-log?room_id={mine}"), 403)
    assert forbidden["detail"] == "Only an owner of a room may read the audit log of this room."
    absent = problem_of(ada("GET", f"/v1/audit-log?room_id={theirs}"), 404)
    assert absent["detail"] == problem_of(ada("GET", f"/v1/audit-log?room_id={new_id()}"), 404)["detail"]


def test_the_log_of_a_room_outlives_it_for_admins(ada: Member, admin: Member) -> None:
    room_id = make_room(ada)["id"]
    ada("DELETE", f"/v1/rooms/{room_id}")

    assert [one["action"] for one in entries(admin, room_id=room_id)] == ["room.deleted", "room.created"]
    problem_of(ada("GET", f"/v1/audit-log?room_id={room_id}"), 404)


def test_an_entry_says_who_did_what_and_on_which_request(ada: Member) -> None:
    room_id = make_room(ada)["id"]
    bob = ada.user_id

    answer = ada("PATCH", f"/v1/rooms/{room_id}", json={"name": "New"}, headers={"X-Request-ID": "mine-1"})

    entry = entries(ada, room_id=room_id)[0]
    assert answer.status_code == 200
    assert {name: value for name, value in entry.items() if name not in {"id", "created_at"}} == {
        "action": "room.changed",
        "room_id": room_id,
        "file_id": None,
        "subject_id": None,
        "actor_id": bob,
        "request_id": "mine-1",
        "job_id": None,
        "detail": {"changes": {"name": {"old": "A room", "new": "New"}}},
    }


@pytest.fixture
def log(services: Services, org_id: OrgId) -> dict[str, Any]:
    """Return the ids of a log of `MANY` entries of the organization, with as many of another's among them."""
    names = {"rooms": [new_id() for _ in range(10)], "actors": [new_id() for _ in range(7)]}
    draw = random.Random(7)
    for owner in (org_id, make_organization(services, "Other")):
        written = [
            Entry(
                draw.choice(ACTIONS) if draw.random() < 0.5 else "file.added",
                names["rooms"][number % 10],
                actor_id=names["actors"][number % 7],
                at=BEGIN + timedelta(seconds=number // 4),  # four at the same moment
                request_id="a-request",
            )
            for number in range(MANY)
        ]
        audit_log.append(services.scope(owner), *written)
    return names


def filters(log: dict[str, Any]) -> dict[str, Filter]:
    """Return each filter, and those that go together through one index."""
    room_id, actor_id = log["rooms"][3], log["actors"][2]
    middle = {"since": BEGIN + timedelta(seconds=200), "until": BEGIN + timedelta(seconds=900)}
    return {
        "none": Filter(),
        "room_id": Filter(room_id=room_id),
        "action": Filter(action="member.set"),
        "actor_id": Filter(actor_id=actor_id),
        "from and to": Filter(**middle),
        "from": Filter(since=middle["since"]),
        "to": Filter(until=middle["until"]),
        "room_id and action": Filter(room_id=room_id, action="file.added"),
        "room_id, from and to": Filter(room_id=room_id, **middle),
        "room_id, action, from and to": Filter(room_id=room_id, action="file.added", **middle),
        "actor_id, from and to": Filter(actor_id=actor_id, **middle),
        "action, from and to": Filter(action="member.set", **middle),
    }


def test_each_filter_reads_about_what_it_shows_and_sorts_nothing(
    services: Services, org_id: OrgId, log: dict[str, Any]
) -> None:
    database = services._mongo[services.registry.get(org_id).placement.database]
    for name, asked in filters(log).items():
        first = audit_log.page(services.scope(org_id), asked, before=None, limit=SHOWN)
        last = Place(first[-1]["created_at"], first[-1]["_id"])
        for before in (None, last):
            command = {
                "find": AUDIT_LOG.name,
                "filter": {"org_id": org_id, **asked.where(before)},
                "sort": dict(NEWEST),
                "limit": SHOWN,
                "hint": asked.index,
            }
            plan = database.command("explain", command, verbosity="executionStats")
            stats, stages = plan["executionStats"], set(stages_of(plan["executionStats"]["executionStages"]))

            print(f"{name:30} {stats['totalKeysExamined']:4} keys for {stats['nReturned']:3}  {sorted(stages)}")
            assert stats["nReturned"] == SHOWN, name
            assert stats["totalKeysExamined"] <= 3 * SHOWN + 2 * len(ACTIONS), name
            assert stats["totalDocsExamined"] <= SHOWN + len(ACTIONS), name
            assert "SORT" not in stages, name
            assert "COLLSCAN" not in stages, name


def stages_of(stage: dict[str, Any]) -> list[str]:
    """Name all stages of a plan."""
    inner = [stage[key] for key in ("inputStage", "outerStage", "innerStage", "queryPlan") if key in stage]
    return [stage["stage"], *(name for one in [*inner, *stage.get("inputStages", [])] for name in stages_of(one))]


def test_each_filter_shows_each_of_its_entries_once_the_newest_first(
    services: Services, org_id: OrgId, log: dict[str, Any]
) -> None:
    scope = services.scope(org_id)
    everything = sorted(scope[AUDIT_LOG].find({}), key=lambda one: (one["created_at"], one["_id"]), reverse=True)
    assert len(everything) == MANY

    for name, asked in filters(log).items():
        seen, before = list[str](), None
        while page := audit_log.page(scope, asked, before=before, limit=333):
            seen += [one["_id"] for one in page]
            before = Place(page[-1]["created_at"], page[-1]["_id"])
        assert seen == [one["_id"] for one in everything if is_asked(one, asked)], name


def is_asked(entry: dict[str, Any], asked: Filter) -> bool:
    same = all(getattr(asked, name) in {None, entry[name]} for name in ("room_id", "action", "actor_id"))
    since, until = asked.since or BEGIN, asked.until or datetime.max.replace(tzinfo=UTC)
    return same and since <= entry["created_at"] < until


def test_pages_go_on_where_they_ended_while_more_is_done(ada: Member, admin: Member) -> None:
    rooms = [make_room(ada)["id"] for _ in range(8)]
    seen, path = list[str](), "/v1/audit-log?limit=3&action=room.created"

    while path:
        page = admin("GET", path)
        seen += [one["room_id"] for one in page.json["items"]]
        make_room(ada)
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert seen == rooms[::-1]


def test_each_parameter_filters(ada: Member, admin: Member) -> None:
    one, other = make_room(ada)["id"], make_room(admin)["id"]
    admin("PUT", f"/v1/rooms/{one}/members/{admin.user_id}", json={"role": "editor"}, headers=ANY)
    at = entries(admin, room_id=one, action="room.created")[0]["created_at"]

    assert [entry["room_id"] for entry in entries(admin, action="room.created")] == [other, one]
    assert {entry["actor_id"] for entry in entries(admin, actor_id=admin.user_id)} == {admin.user_id}
    assert [entry["action"] for entry in entries(admin, room_id=one, actor_id=admin.user_id)] == ["member.set"]
    assert [entry["room_id"] for entry in entries(admin, actor_id=ada.user_id, action="room.created")] == [one]
    assert entries(admin, to=at) == []
    assert len(entries(admin, **{"from": at})) == 3
    assert entries(admin, action="file.added") == entries(admin, actor_id=f"key:{new_id()}") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "cursor=YWJj",
        "cursor=%00",
        "action=everything",
        "action[$ne]=x",
        "room_id=x",
        "room_id=%00",
        "room_id[$ne]=x",
        "actor_id=.*",
        "actor_id=",
        "from=yesterday",
        "to=0001-01-01T00:00:00%2B23:59",
        "to=2026-02-30T00:00:00Z",
        "org_id=x",
        "subject_id=x",
    ],
)
def test_a_bad_parameter_is_named(admin: Member, query: str) -> None:
    problem = problem_of(admin("GET", f"/v1/audit-log?{query}"), 422)

    assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]


@pytest.mark.parametrize("place", [7, None, [1], ["x", "y"], ["0001-01-01T00:00:00+23:59", "x"], {"$gt": ""}])
def test_a_cursor_that_somebody_wrote_by_hand_is_refused(admin: Member, place: Any) -> None:
    asked = sorted((name, "None") for name in ("action", "actor_id", "room_id", "since", "until"))
    mark = hashlib.sha256(orjson.dumps([admin.org_id, "/v1/audit-log", asked])).hexdigest()[:16]
    cursor = base64.urlsafe_b64encode(orjson.dumps([mark, place])).decode().rstrip("=")

    problem = problem_of(admin("GET", f"/v1/audit-log?cursor={cursor}"), 422)

    assert problem["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_into_the_log_from_outside(admin: Member, method: str) -> None:
    assert problem_of(admin(method, "/v1/audit-log", json={}), 405)["status"] == 405
