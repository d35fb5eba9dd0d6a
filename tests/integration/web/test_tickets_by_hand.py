"""Tickets by hand: made, changed by whoever comes first and last, and classified but for what is set by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from common.ids import is_id, new_id
from common.services import Services
from common.tickets.classifying.classifier import VERSION, classify
from common.tickets.collections import HISTORY, TICKETS
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import at_once, stored
from tests.integration.web.ticket_makers import change, history, make_ticket, show

URGENT = "URGENT!!! Nothing works and we lose money, please help at once!"
COMPUTED = ("urgency", "sentiment", "requires_action")


def classes(subject: str | None, message: str) -> tuple[Any, ...]:
    found = classify(subject, message)
    return tuple(getattr(found, name) for name in COMPUTED)


def test_a_ticket_is_made_and_classified_at_once(admin: Member) -> None:
    asked = {
        "message": URGENT,
        "subject": "Down",
        "external_id": "4711",
        "customer_id": "c-9",
        "channel": "phone",
        "status": "pending",
        "tags": ["vip", "late"],
        "attributes": {"order": "A-1", "count": 3, "share": 0.5, "is.gift": True, "$set": "x"},
    }

    answer = admin("POST", "/v1/tickets", json=asked)

    made = answer.json
    assert answer.status_code == 201
    assert is_id(made["id"])
    assert answer.headers["Location"] == made["links"]["self"] == f"/v1/tickets/{made['id']}"
    assert {name: made[name] for name in asked} == asked
    assert tuple(made[name] for name in COMPUTED) == classes("Down", URGENT)
    assert made["urgency"] == "high"
    assert (made["source_id"], made["classifier"], made["overridden"]) == ("manual", VERSION, [])
    seen = admin("GET", f"/v1/tickets/{made['id']}")
    assert (seen.json, seen.headers["ETag"]) == (made, answer.headers["ETag"])
    assert history(admin, made["id"]) == []


def test_what_is_given_by_hand_is_not_computed(admin: Member) -> None:
    made = make_ticket(admin, URGENT, urgency="low", requires_action=False, sentiment=None)

    assert (made["urgency"], made["requires_action"], made["sentiment"]) == (
        "low",
        False,
        classify(None, URGENT).sentiment,
    )
    assert made["overridden"] == ["requires_action", "urgency"]


def test_two_tickets_of_the_same_words_are_two(admin: Member) -> None:
    assert make_ticket(admin)["id"] != make_ticket(admin)["id"]


def test_an_external_id_is_given_once_and_the_refusal_names_who_has_it(admin: Member, stranger: Member) -> None:
    first = make_ticket(admin, external_id="x")

    problem = problem_of(admin("POST", "/v1/tickets", json={"message": "m", "external_id": "x"}), 409)

    assert problem["ticket"] == first["links"]["self"]
    make_ticket(stranger, external_id="x")
    admin("DELETE", f"/v1/tickets/{first['id']}")
    again = problem_of(admin("POST", "/v1/tickets", json={"message": "m", "external_id": "x"}), 409)
    assert "Restore" in again["detail"]


def test_of_many_who_make_one_external_id_at_once_one_does(admin: Member, services: Services) -> None:
    statuses = list[int]()

    def make() -> None:
        statuses.append(admin("POST", "/v1/tickets", json={"message": "m", "external_id": "x"}).status_code)

    at_once([make] * 8)

    assert sorted(statuses) == [201, *[409] * 7]
    assert len(stored(services, admin.org_id, TICKETS)) == 1


def test_the_same_request_under_a_key_makes_one_ticket(admin: Member, services: Services) -> None:
    options: dict[str, Any] = {"json": {"message": "m"}, "headers": {"Idempotency-Key": "k"}}

    first, again = (admin("POST", "/v1/tickets", **options) for _ in range(2))

    assert (first.status_code, again.status_code, again.json) == (201, 201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert {name: again.headers[name] for name in ("Location", "ETag")} == {
        name: first.headers[name] for name in ("Location", "ETag")
    }
    assert len(stored(services, admin.org_id, TICKETS)) == 1
    other = admin("POST", "/v1/tickets", json={"message": "n"}, headers={"Idempotency-Key": "k"})
    assert problem_of(other, 422)["type"] == "/problems/idempotency-key-reused"


def test_who_was_cut_off_between_answer_and_ticket_makes_that_very_ticket(
    admin: Member, services: Services
) -> None:
    body = {"message": URGENT, "external_id": "x", "urgency": "low", "attributes": {"a.b": 1}, "tags": ["t"]}
    options: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": "k"}}
    first = admin("POST", "/v1/tickets", **options).json
    before = stored(services, admin.org_id, TICKETS)
    services.scope(admin.org_id)[TICKETS].delete_one({"_id": first["id"]})

    again = admin("POST", "/v1/tickets", **options)

    assert again.json == first == show(admin, first["id"])
    assert stored(services, admin.org_id, TICKETS) == before


def test_a_repeated_request_does_not_bring_back_what_was_deleted(admin: Member, services: Services) -> None:
    options: dict[str, Any] = {
        "json": {"message": "m", "external_id": "x"},
        "headers": {"Idempotency-Key": "k"},
    }
    made = admin("POST", "/v1/tickets", **options).json
    admin("DELETE", f"/v1/tickets/{made['id']}")

    admin("POST", "/v1/tickets", **options)
    assert show(admin, made["id"])["deleted_at"] is not None
    services.scope(admin.org_id)[TICKETS].delete_one({"_id": made["id"]})  # as its time comes
    admin("POST", "/v1/tickets", **options)

    problem_of(admin("GET", f"/v1/tickets/{made['id']}"), 404)


def test_a_refused_external_id_leaves_the_key_free(admin: Member) -> None:
    first = make_ticket(admin, external_id="x")
    headers = {"Idempotency-Key": "k"}
    problem_of(admin("POST", "/v1/tickets", json={"message": "m", "external_id": "x"}, headers=headers), 409)

    made = admin("POST", "/v1/tickets", json={"message": "m", "external_id": "y"}, headers=headers)

    assert made.status_code == 201
    assert made.json["id"] != first["id"]


def test_a_change_sets_what_it_names_and_history_says_what_it_was(admin: Member) -> None:
    by_hand: dict[str, Any] = {"urgency": "low", "sentiment": "neutral", "requires_action": False}
    attributes = {"a": 1, "b": "x", "c": None}
    made = make_ticket(admin, "Thank you.", subject="Hi", attributes=attributes, **by_hand)

    changed = change(
        admin,
        made["id"],
        status="resolved",
        subject=None,
        tags=["done"],
        customer_id="c-1",
        channel="chat",
        attributes={"a": True, "b": None, "d.e": 2.5},
    )

    assert (changed["status"], changed["subject"], changed["message"]) == ("resolved", None, "Thank you.")
    assert (changed["tags"], changed["customer_id"], changed["channel"]) == (["done"], "c-1", "chat")
    assert changed["attributes"] == {"a": True, "d.e": 2.5}
    (entry,) = history(admin, made["id"])
    assert entry["changes"] == {
        "status": {"old": "open", "new": "resolved"},
        "subject": {"old": "Hi", "new": None},
        "tags": {"old": [], "new": ["done"]},
        "customer_id": {"old": None, "new": "c-1"},
        "channel": {"old": None, "new": "chat"},
        "attributes.a": {"old": 1, "new": True},
        "attributes.b": {"old": "x", "new": None},
        "attributes.d.e": {"old": None, "new": 2.5},
    }
    assert entry["changes"]["attributes.a"]["new"] is True
    assert (entry["action"], entry["actor_id"], entry["job_id"]) == ("edited", admin.user_id, None)
    assert entry["recorded_at"] == changed["updated_at"]


def test_a_change_to_what_it_is_already_is_none(admin: Member) -> None:
    made = make_ticket(admin, tags=["a"], attributes={"n": 1})
    path = f"/v1/tickets/{made['id']}"
    tag = admin("GET", path).headers["ETag"]

    same = admin("PATCH", path, json={"message": made["message"], "tags": ["a"], "attributes": {"n": 1}})
    nothing = admin("PATCH", path, json={})

    assert same.json == nothing.json == made
    assert same.headers["ETag"] == nothing.headers["ETag"] == tag
    assert history(admin, made["id"]) == []


def test_other_words_are_classified_anew_but_for_what_is_set_by_hand(admin: Member) -> None:
    made = make_ticket(admin, "Thank you.", sentiment="neutral")

    changed = change(admin, made["id"], message=URGENT)

    assert changed["urgency"] == classify(None, URGENT).urgency == "high"
    assert (changed["sentiment"], changed["overridden"]) == ("neutral", ["sentiment"])
    differing = {name for name in ("urgency", "requires_action") if made[name] != changed[name]}
    assert "urgency" in differing
    assert set(history(admin, made["id"])[0]["changes"]) == {"message", *differing}


def test_what_is_set_by_hand_is_history_and_null_gives_it_back(admin: Member) -> None:
    made = make_ticket(admin, URGENT)

    low = change(admin, made["id"], urgency="low")
    back = change(admin, made["id"], urgency=None)

    assert (low["urgency"], low["overridden"]) == ("low", ["urgency"])
    assert (back["urgency"], back["overridden"]) == ("high", [])
    second, first = history(admin, made["id"])
    assert first["changes"] == {
        "urgency": {"old": "high", "new": "low"},
        "overridden": {"old": [], "new": ["urgency"]},
    }
    assert second["changes"] == {
        "urgency": {"old": "low", "new": "high"},
        "overridden": {"old": ["urgency"], "new": []},
    }


def test_what_is_set_by_hand_to_what_was_computed_stays_when_the_words_change(admin: Member) -> None:
    made = make_ticket(admin, URGENT)

    change(admin, made["id"], urgency="high")

    assert change(admin, made["id"], message="Thank you.")["urgency"] == "high"


def test_a_change_for_an_older_version_changes_nothing(admin: Member) -> None:
    path = f"/v1/tickets/{make_ticket(admin)['id']}"
    old = {"If-Match": admin("GET", path).headers["ETag"]}
    assert admin("PATCH", path, json={"status": "pending"}, headers=old).status_code == 200

    problem_of(admin("PATCH", path, json={"status": "closed"}, headers=old), 412)
    problem_of(admin("PATCH", path, json={}, headers=old), 412)
    problem_of(admin("DELETE", path, headers=old), 412)

    now = admin("GET", path)
    assert (now.json["status"], now.json["deleted_at"]) == ("pending", None)
    assert admin("GET", path, headers={"If-None-Match": now.headers["ETag"]}).status_code == 304


def test_of_many_changes_at_once_none_is_lost(admin: Member) -> None:
    made = make_ticket(admin)

    at_once([lambda n=n: change(admin, made["id"], attributes={f"a{n}": n}) for n in range(12)])  # type: ignore[misc]

    assert show(admin, made["id"])["attributes"] == {f"a{n}": n for n in range(12)}
    assert len(history(admin, made["id"])) == 12


def test_of_many_changes_of_one_version_one_is_made(admin: Member) -> None:
    made = make_ticket(admin)
    path = f"/v1/tickets/{made['id']}"
    headers, statuses = {"If-Match": admin("GET", path).headers["ETag"]}, list[int]()

    def work(number: int) -> None:
        statuses.append(admin("PATCH", path, json={"channel": f"c{number}"}, headers=headers).status_code)

    at_once([lambda n=n: work(n) for n in range(8)])  # type: ignore[misc]

    assert sorted(statuses) == [200, *[412] * 7]
    assert len(history(admin, made["id"])) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "new"),
        ("status", None),
        ("message", None),
        ("message", ""),
        ("message", " \n\t"),
        ("message", "x" * 65_537),
        ("subject", "x" * 1_001),
        ("customer_id", "x" * 256),
        ("channel", 7),
        ("tags", "a,b"),
        ("tags", ["x"] * 51),
        ("tags", ["x" * 101]),
        ("tags", [""]),
        ("urgency", "urgent"),
        ("sentiment", 1),
        ("requires_action", 1),
        ("requires_action", "true"),
        ("attributes", []),
        ("attributes", {"a": [1]}),
        ("attributes", {"a": {"$ne": 1}}),
        ("attributes", {"a": 2**63}),
        ("attributes", {"a": "x" * 8_193}),
        ("attributes", {"x" * 256: 1}),
        ("attributes", {str(number): 1 for number in range(51)}),
        ("external_id", ""),
        ("external_id", "x" * 256),
        ("source_id", "other"),
        ("created_at", "2026-01-31T09:30:00Z"),
        ("deleted_at", None),
        ("classifier", "mine"),
        ("overridden", []),
        ("revision", 7),
        ("content_hash", "x"),
        ("natural_key", "x"),
    ],
)
def test_what_no_ticket_can_be_is_refused_by_its_name(admin: Member, field: str, value: Any) -> None:
    made = make_ticket(admin)

    new = problem_of(admin("POST", "/v1/tickets", json={"message": "m", field: value}), 422)
    changed = problem_of(admin("PATCH", f"/v1/tickets/{made['id']}", json={field: value}), 422)

    for problem in (new, changed):
        assert {fault["pointer"].split("/")[1] for fault in problem["errors"]} == {field}
    assert show(admin, made["id"]) == made


def test_attributes_that_would_be_too_many_are_refused_and_nothing_changes(admin: Member) -> None:
    made = make_ticket(admin, attributes={f"a{number}": number for number in range(50)})
    path = f"/v1/tickets/{made['id']}"

    problem = problem_of(admin("PATCH", path, json={"attributes": {"one more": 1}}), 422)

    assert problem["errors"][0]["pointer"] == "/attributes"
    assert show(admin, made["id"]) == made
    assert admin("PATCH", path, json={"attributes": {"a0": None, "one more": 1}}).status_code == 200


def test_a_ticket_of_before_is_shown_and_changed(admin: Member, services: Services) -> None:
    made = make_ticket(admin)
    later = dict.fromkeys(("revision", "overridden", "classifier"), "")
    services.scope(admin.org_id)[TICKETS].update_one(
        {"_id": made["id"]}, {"$unset": later, "$set": {"urgency": None}}
    )
    services.scope(admin.org_id)[TICKETS].update_one({"_id": made["id"]}, {"$set": {"classifier": None}})
    tag = admin("GET", f"/v1/tickets/{made['id']}").headers["ETag"]

    changed = change(admin, made["id"], urgency="low")

    assert (changed["urgency"], changed["overridden"]) == ("low", ["urgency"])
    assert admin("GET", f"/v1/tickets/{made['id']}").headers["ETag"] != tag


def test_history_is_paged_and_goes_on_where_it_was(admin: Member) -> None:
    made = make_ticket(admin)
    for number in range(7):
        change(admin, made["id"], channel=str(number))
    seen, path = list[str](), f"/v1/tickets/{made['id']}/history?limit=3"

    while path:
        page = admin("GET", path)
        seen += [one["changes"]["channel"]["new"] for one in page.json["items"]]
        change(admin, made["id"], channel=new_id())
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert seen == [str(number) for number in reversed(range(7))]


def test_nobody_changes_the_tickets_of_others_or_reads_what_became_of_them(
    admin: Member, stranger: Member, services: Services
) -> None:
    made = make_ticket(admin)
    change(admin, made["id"], status="closed")
    before = stored(services, admin.org_id, TICKETS), stored(services, admin.org_id, HISTORY)

    for method, end, body in (
        ("GET", "", None),
        ("PATCH", "", {"status": "open"}),
        ("DELETE", "", None),
        ("POST", "/restore", None),
        ("GET", "/history", None),
    ):
        problem_of(stranger(method, f"/v1/tickets/{made['id']}{end}", json=body), 404)

    assert (stored(services, admin.org_id, TICKETS), stored(services, admin.org_id, HISTORY)) == before


def test_members_may_do_it_all_and_keys_what_their_scopes_say(
    admin: Member, member_of: Callable[..., Member], app: Flask
) -> None:
    made = make_ticket(member_of(admin.org_id, "member"))
    path = f"/v1/tickets/{made['id']}"
    keys = {}
    for scope in ("tickets:read", "tickets:write", "files:write"):
        asked = {"name": scope, "scopes": [scope]}
        keys[scope] = Member(
            app.test_client(), admin.org_id, admin("POST", "/v1/api-keys", json=asked).json["token"]
        )

    statuses = {
        scope: [
            key("GET", path).status_code,
            key("GET", f"{path}/history").status_code,
            key("PATCH", path, json={"channel": scope}).status_code,
            key("DELETE", path).status_code,
            key("POST", f"{path}/restore").status_code,
        ]
        for scope, key in keys.items()
    }

    assert statuses == {
        "tickets:read": [200, 200, 403, 403, 403],
        "tickets:write": [403, 403, 200, 204, 200],
        "files:write": [403] * 5,
    }
    assert {entry["actor_id"][:4] for entry in history(admin, made["id"])} == {"key:"}
