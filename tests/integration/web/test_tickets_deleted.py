"""Tickets deleted by hand: in a list of their own, not changed, restored as they were, gone in the end."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from common.ids import JobId, new_id
from common.services import Services
from common.tickets.collections import HISTORY, TICKETS, TOMBSTONES
from common.tickets.revising import GONE
from common.tickets.sync import plan_gone
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import at_once, stored
from tests.integration.web.ticket_makers import change, history, make_ticket, messages, show


def ids(who: Member, **query: Any) -> list[str]:
    """Return the ids of the first page of a list."""
    answer = who("GET", "/v1/tickets", query_string=query)
    return [one["id"] for one in answer.json["items"]]


def gone_from_its_source(services: Services, who: Member, made: dict[str, Any]) -> None:
    """Delete a ticket as a full run does whose source no longer has its record."""
    scope = services.scope(who.org_id)
    keys = [one["natural_key"] for one in scope[TICKETS].find({"_id": made["id"]})]
    now, kept = services.clock.now(), timedelta(days=30)
    plan = plan_gone(scope, source_id=made["source_id"], keys=keys, job_id=JobId(new_id()), now=now, kept_for=kept)
    scope.transaction(plan.write)


def test_a_deleted_ticket_is_listed_with_the_deleted_and_still_shown(admin: Member, services: Services) -> None:
    made, other = make_ticket(admin, external_id="x"), make_ticket(admin)

    answer = admin("DELETE", f"/v1/tickets/{made['id']}")

    assert (answer.status_code, answer.data) == (204, b"")
    assert (ids(admin), ids(admin, deleted="true")) == ([other["id"]], [made["id"]])
    gone = show(admin, made["id"])
    kept = timedelta(days=services.settings.deleted_tickets_kept_days)
    assert datetime.fromisoformat(gone["expires_at"]) - datetime.fromisoformat(gone["deleted_at"]) == kept
    (entry,) = history(admin, made["id"])
    assert (entry["action"], entry["changes"], entry["actor_id"]) == ("deleted", {}, admin.user_id)
    (stone,) = stored(services, admin.org_id, TOMBSTONES)
    assert (stone["_id"], stone["source_id"], stone["natural_key"]) == (made["id"], "manual", "id:x")
    (kept_one,) = services.scope(admin.org_id)[TICKETS].find({"_id": made["id"]})
    assert kept_one["deleted_by"] == admin.user_id


def test_a_deleted_ticket_is_not_changed(admin: Member) -> None:
    made = make_ticket(admin)
    admin("DELETE", f"/v1/tickets/{made['id']}")

    problem = problem_of(admin("PATCH", f"/v1/tickets/{made['id']}", json={"status": "closed"}), 409)

    assert "Restore" in problem["detail"]
    assert show(admin, made["id"])["status"] == "open"


def test_deleting_twice_is_deleting_once(admin: Member) -> None:
    path = f"/v1/tickets/{make_ticket(admin)['id']}"
    admin("DELETE", path)
    gone = admin("GET", path)

    assert admin("DELETE", path).status_code == 204

    assert admin("GET", path).headers["ETag"] == gone.headers["ETag"]
    assert len(admin("GET", f"{path}/history").json["items"]) == 1


def test_a_restored_ticket_is_what_it_was(admin: Member, services: Services) -> None:
    made = make_ticket(admin, urgency="low", attributes={"a": 1})
    before = stored(services, admin.org_id, TICKETS)[0]
    admin("DELETE", f"/v1/tickets/{made['id']}")

    answer = admin("POST", f"/v1/tickets/{made['id']}/restore")

    assert answer.status_code == 200
    assert answer.headers["ETag"] == admin("GET", f"/v1/tickets/{made['id']}").headers["ETag"]
    changed_by_then = {"updated_at", "revision"}
    after = stored(services, admin.org_id, TICKETS)[0]
    assert {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    } == changed_by_then
    assert before.keys() == after.keys()
    assert (ids(admin), ids(admin, deleted="true")) == ([made["id"]], [])
    assert [one["action"] for one in history(admin, made["id"])] == ["restored", "deleted"]
    assert stored(services, admin.org_id, TOMBSTONES) == []
    problem_of(admin("POST", f"/v1/tickets/{made['id']}/restore"), 409)
    assert change(admin, made["id"], status="closed")["status"] == "closed"


def test_a_ticket_that_its_source_deleted_is_restored_as_it_was_read(admin: Member, services: Services) -> None:
    made = make_ticket(admin, external_id="x")
    before = stored(services, admin.org_id, TICKETS)[0]["content_hash"]
    gone_from_its_source(services, admin, made)
    assert stored(services, admin.org_id, TICKETS)[0]["content_hash"] == GONE + before

    restored = admin("POST", f"/v1/tickets/{made['id']}/restore").json

    assert restored["deleted_at"] is None
    assert stored(services, admin.org_id, TICKETS)[0]["content_hash"] == before
    assert stored(services, admin.org_id, TOMBSTONES) == []


def test_a_restoration_for_an_older_version_restores_nothing(admin: Member) -> None:
    path = f"/v1/tickets/{make_ticket(admin)['id']}"
    old = {"If-Match": admin("GET", path).headers["ETag"]}
    admin("DELETE", path)

    problem_of(admin("POST", f"{path}/restore", headers=old), 412)

    assert admin("GET", path).json["deleted_at"] is not None


def test_of_many_who_delete_and_restore_at_once_history_has_each_change_once(
    admin: Member, services: Services
) -> None:
    made = make_ticket(admin)
    path = f"/v1/tickets/{made['id']}"
    done = list[str]()

    def work(number: int) -> None:
        method, end = (("DELETE", ""), ("POST", "/restore"))[number % 2]
        done.append(f"{method} {admin(method, path + end).status_code}")

    at_once([lambda n=n: work(n) for n in range(12)])  # type: ignore[misc]

    assert set(done) <= {"DELETE 204", "POST 200", "POST 409"}
    actions = [one["action"] for one in reversed(history(admin, made["id"]))]
    assert actions == [("deleted", "restored")[number % 2] for number in range(len(actions))]
    assert actions.count("restored") == done.count("POST 200")
    is_deleted = show(admin, made["id"])["deleted_at"] is not None
    assert is_deleted == (actions[-1] == "deleted")
    assert len(stored(services, admin.org_id, TOMBSTONES)) == is_deleted
    assert stored(services, admin.org_id, TICKETS)[0]["revision"] == len(actions)


def test_of_a_change_and_a_deletion_at_once_neither_is_lost(admin: Member) -> None:
    for _ in range(5):
        made = make_ticket(admin)
        path, statuses = f"/v1/tickets/{made['id']}", list[int]()

        def patch(path: str = path, statuses: list[int] = statuses) -> None:
            statuses.append(admin("PATCH", path, json={"status": "closed"}).status_code)

        at_once([patch, lambda path=path: admin("DELETE", path)])  # type: ignore[misc]

        seen = show(admin, made["id"])
        assert seen["deleted_at"] is not None
        assert (seen["status"], statuses) in [("closed", [200]), ("open", [409])]


def test_the_deleted_are_listed_as_they_were_deleted_and_paged(admin: Member) -> None:
    made = [make_ticket(admin, str(number))["id"] for number in range(7)]
    order = [made[number] for number in (3, 0, 6, 1, 5, 2, 4)]
    for one in order:
        admin("DELETE", f"/v1/tickets/{one}")
    seen, path = list[str](), "/v1/tickets?deleted=true&limit=2"

    while path:
        page = admin("GET", path)
        seen += [one["id"] for one in page.json["items"]]
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""

    assert seen == order[::-1]
    assert messages(admin, deleted="true", q="6") == ["6"]
    assert messages(admin, q="6") == []


def test_an_external_id_is_free_once_its_ticket_is_gone_for_good(admin: Member, services: Services) -> None:
    made = make_ticket(admin, external_id="x")
    admin("DELETE", f"/v1/tickets/{made['id']}")
    services.scope(admin.org_id)[TICKETS].delete_one({"_id": made["id"]})  # as its time comes

    again = make_ticket(admin, external_id="x")

    assert again["id"] != made["id"]
    assert admin("DELETE", f"/v1/tickets/{again['id']}").status_code == 204
    (stone,) = stored(services, admin.org_id, TOMBSTONES)
    assert stone["_id"] == again["id"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_is_gone_for_good_is_like_what_never_was(admin: Member, services: Services, method: str) -> None:
    made = make_ticket(admin)
    admin("DELETE", f"/v1/tickets/{made['id']}")
    services.scope(admin.org_id)[TICKETS].delete_one({"_id": made["id"]})

    problem_of(admin(method, f"/v1/tickets/{made['id']}", json={}), 404)
    problem_of(admin("POST", f"/v1/tickets/{made['id']}/restore"), 404)
    problem_of(admin("GET", f"/v1/tickets/{made['id']}/history"), 404)
    assert len(stored(services, admin.org_id, HISTORY)) == 1
