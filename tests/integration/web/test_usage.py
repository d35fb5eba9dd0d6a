"""Usage over HTTP: exact however many ask at once, of each organization its own, warned of once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import redis
from common.probe.be_quick import BeQuick
from flask import Flask

from common.clock import rfc3339
from common.ids import PLATFORM, OrgId, new_id
from common.metering.figures import DAY
from common.metering.kept import id_of
from common.metering.mover import HANDED_ON_WITHIN
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_organization
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.ticket_makers import make_ticket
from web.app import create_app

PATH = "/v1/analytics/usage"


def move(services: Services) -> None:
    """Hand on what this process counted, and move it to where it is kept."""
    assert services.meter.flush()
    services.mover.once()


def usage(who: Member, **query: str) -> dict[str, Any]:
    answer = who("GET", f"{PATH}?{urlencode({name.rstrip('_'): value for name, value in query.items()})}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_nothing_is_used_at_first(admin: Member) -> None:
    found = usage(admin)

    assert found["requests"] == {
        "total": 0,
        "refused": 0,
        "this_hour": 0,
        "minute_limit": 100,
        "hour_limit": 1000,
    }
    assert found["jobs"]["waiting"] == found["jobs"]["running"] == found["rows_written"] == 0
    assert (found["users"], found["storage"]["used_bytes"], found["warnings"]) == (1, 0, [])
    assert found["counted_to"] is None
    assert len(found["days"]) == int(found["as_of"][8:10])


def test_requests_of_many_threads_and_processes_are_counted_exactly(
    services: Services, settings: Any, admin: Member, stranger: Member
) -> None:
    other = Services(settings)  # as another process of the API has them
    apps = [create_app(services), create_app(other)]
    for one in (services, other):
        one.meter.start()

    def ask(app: Flask, who: Member, times: int) -> None:
        client = Member(app.test_client(), who.org_id, who.token)
        for number in range(times):
            client("GET", "/v1/jobs" if number % 2 else f"/v1/tickets/{new_id()}")

    threads = [
        threading.Thread(target=ask, args=(app, who, times))
        for app in apps
        for who, times in ((admin, 40), (stranger, 15))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        services.mover.once()
    other.close()
    move(services)

    assert usage(admin)["requests"]["total"] == 2 * 4 * 40
    assert usage(stranger)["requests"]["total"] == 2 * 4 * 15


def test_who_has_no_credentials_counts_for_nobody(app: Flask, services: Services, admin: Member) -> None:
    app.test_client().get("/v1/jobs")
    app.test_client().get("/v1/jobs", headers={"Authorization": "Bearer nonsense"})
    admin("GET", "/v1/jobs")
    move(services)

    assert usage(admin)["requests"]["total"] == 1
    assert services.control.usage.count_documents({}) == 1


def test_refused_requests_count_and_are_told(services: Services, settings: Any, admin: Member) -> None:
    services.settings = settings.model_copy(update={"rate_limits": "on"})
    client = Member(create_app(services).test_client(), admin.org_id, admin.token)
    for _ in range(105):
        client("GET", "/v1/jobs")
    move(services)

    found = usage(admin)["requests"]

    assert (found["total"], found["refused"], found["this_hour"]) == (105, 5, 105)


def test_jobs_and_rows_count_for_whose_they_are(services: Services, admin: Member, stranger: Member) -> None:
    lines = BytesIO(
        b"".join(orjson.dumps({"message": f"message {n}", "external_id": str(n)}) + b"\n" for n in range(30))
    )
    admin("POST", "/v1/tickets/imports", data={"file": (lines, "a.jsonl")})
    Slot(services).step("tickets")
    made = make_ticket(admin, "By hand.")
    admin("PATCH", f"/v1/tickets/{made['id']}", json={"status": "closed"})
    admin("PATCH", f"/v1/tickets/{made['id']}", json={"status": "closed"})  # changes nothing
    admin("DELETE", f"/v1/tickets/{made['id']}")
    admin("DELETE", f"/v1/tickets/{made['id']}")  # nor does this
    admin("POST", f"/v1/tickets/{made['id']}/restore")
    make_ticket(stranger, "Another's.")
    services.submit(caller_of(stranger.org_id), BeQuick())
    move(services)

    mine, theirs = usage(admin), usage(stranger)

    assert (mine["rows_written"], mine["jobs"]["accepted"]) == (30 + 4, 1)
    assert (theirs["rows_written"], theirs["jobs"]["accepted"], theirs["jobs"]["waiting"]) == (1, 1, 1)
    assert mine["days"][-1]["rows"] == 34
    assert sum(day["jobs"] for day in mine["days"]) == 1


def test_a_ticket_that_is_asked_for_twice_is_one_row(services: Services, admin: Member) -> None:
    for _ in range(3):
        answer = admin("POST", "/v1/tickets", json={"message": "Once."}, headers={"Idempotency-Key": "k-1"})
        assert answer.status_code == 201
    move(services)

    assert usage(admin)["rows_written"] == 1


def test_runs_count_with_their_time_and_their_end(services: Services, admin: Member) -> None:
    from workers.clerk import Clerk, Ended
    from workers.events import JobEvents
    from workers.runner import Outcome

    clerk = Clerk(
        services.jobs,
        services.lanes,
        JobEvents(None, "test", services.broker),
        services.clock,
        lambda _written: None,
        meter=services.meter,
    )
    slot = Slot(services)
    for ending, took_s in (("succeeded", 1.25), ("failed", 0.5), ("retry", 0.25), ("lost", 2.0)):
        services.submit(caller_of(admin.org_id), BeQuick())
        claimed = slot.claim(slot.take("tickets"))  # type: ignore[arg-type]
        assert claimed is not None
        clerk._write_until_answered(Ended(claimed, Outcome(ending), took_s))  # type: ignore[arg-type]
    move(services)

    jobs = usage(admin)["jobs"]

    assert (jobs["accepted"], jobs["ended"], jobs["failed"], jobs["run_s"]) == (4, 2, 1, 4.0)


def test_without_redis_requests_go_on_and_wait_for_nothing(
    services: Services, admin: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(services.meter._script, "_execute", away)
    assert [admin("GET", "/v1/jobs").status_code for _ in range(20)] == [200] * 20
    assert not services.meter.flush()
    monkeypatch.undo()
    move(services)

    assert usage(admin)["requests"]["total"] == 20


def test_a_range_is_cut_to_hours_and_shows_every_day(services: Services, admin: Member) -> None:
    first = datetime(2026, 2, 26, tzinfo=UTC)
    for number in range(4):
        of_hours = {str(hour): {"requests": 10 * number + 1} for hour in range(24)}
        day = first + number * DAY
        services.control.usage.insert_one(
            {
                "_id": id_of(admin.org_id, day),
                "org_id": admin.org_id,
                "day": day,
                "requests": 24 * (10 * number + 1),
                "hours": of_hours,
            }
        )

    found = usage(admin, from_="2026-02-25T10:30:00Z", to="2026-02-28T02:00:01+01:00")
    reading_from = usage(admin, from_="2026-02-27T22:00:00Z", to="2026-03-01T01:00:00Z")

    assert found["range"] == {"from": "2026-02-25T10:00:00.000Z", "to": "2026-02-28T02:00:00.000Z"}
    shown = [(day["date"], day["requests"]) for day in found["days"]]
    assert shown == [("2026-02-25", 0), ("2026-02-26", 24), ("2026-02-27", 264), ("2026-02-28", 42)]
    assert reading_from["requests"]["total"] == 2 * 11 + 24 * 21 + 31


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z", "to"),
        ("from=2026-02-01T00:00:00Z&to=2026-02-01T00:00:00Z", "to"),
        ("from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("from=2999-01-01T00:00:00Z", "from"),
        ("from=2100-01-01T00:00:00Z", "to"),
        ("to=9999-12-31T23:59:59Z", "to"),
        ("from=2026-02-01T00:00:00", "from"),
        ("from=yesterday", "from"),
        ("from[$gt]=2026-02-01T00:00:00Z", "from[$gt]"),
        ("org_id=platform", "org_id"),
        ("from=2026-02-01T00:00:00Z&from=2026-02-02T00:00:00Z", "from"),
        ("to=", "to"),
    ],
)
def test_what_can_not_be_asked_is_refused_by_name(admin: Member, query: str, parameter: str) -> None:
    problem = problem_of(admin("GET", f"{PATH}?{query}"), 422)

    assert [one["parameter"] for one in problem["errors"]] == [parameter]


def test_only_people_of_an_organization_and_keys_with_the_scope_see_it(
    app: Flask, admin: Member, operator: Member, member_of: Callable[..., Member]
) -> None:
    keys = {
        scope: admin("POST", "/v1/api-keys", json={"name": scope, "scopes": [scope]}).json["token"]
        for scope in ("organization:read", "jobs:read")
    }

    def with_key(scope: str) -> int:
        return app.test_client().get(PATH, headers={"Authorization": f"Bearer {keys[scope]}"}).status_code

    assert member_of(admin.org_id, "member")("GET", PATH).status_code == 200
    assert (with_key("organization:read"), with_key("jobs:read")) == (200, 403)
    problem_of(operator("GET", PATH), 403)
    problem_of(app.test_client().get(PATH), 401)


def count_requests(services: Services, org_id: OrgId, times: int) -> None:
    services.meter.add(org_id, "requests", times)
    assert services.meter.flush()
    services.usage_warnings.look(services.mover.once())


def warnings(services: Services, admin: Member) -> list[dict[str, Any]]:
    answer = admin("GET", "/v1/events", query_string={"limit": 200})
    services.meter = type(services.meter)(services.shared, services.clock)  # forget that look
    return [one["data"] for one in answer.json["items"] if one["type"] == "UsageWarning"]


def test_at_eighty_percent_of_the_hours_requests_one_event_says_so(services: Services, admin: Member) -> None:
    count_requests(services, admin.org_id, 799)
    before = warnings(services, admin)
    for _ in range(5):
        count_requests(services, admin.org_id, 10)

    assert before == []
    assert warnings(services, admin) == [{"figure": "requests_an_hour", "used": 809, "limit": 1000}]
    assert usage(admin)["warnings"] == [{"figure": "requests_an_hour", "used": 849, "limit": 1000, "share": 0.849}]


def test_the_next_hour_that_is_full_is_told_again(
    services: Services, admin: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_requests(services, admin.org_id, 900)
    later = datetime(2033, 1, 1, 12, 30, tzinfo=UTC)
    monkeypatch.setattr(services.clock, "now", lambda: later)
    count_requests(services, admin.org_id, 1)
    count_requests(services, admin.org_id, 950)
    monkeypatch.undo()

    assert [one["used"] for one in warnings(services, admin)] == [900, 951]


def test_many_jobs_that_wait_are_told_once(services: Services, admin: Member) -> None:
    services.tiers.change("free", {"waiting": 10})
    submit = caller_of(admin.org_id)
    for _ in range(7):
        services.submit(submit, BeQuick())
    move(services)
    assert services.usage_warnings.look({admin.org_id, PLATFORM}) == 0
    services.submit(submit, BeQuick())
    move(services)

    told = [services.usage_warnings.look({admin.org_id}) for _ in range(3)]
    for _ in range(4):
        Slot(services).step("tickets")
    services.usage_warnings.look({admin.org_id})
    for _ in range(4):
        services.submit(submit, BeQuick())

    assert told == [1, 0, 0]
    assert services.usage_warnings.look({admin.org_id}) == 1
    assert warnings(services, admin) == [{"figure": "jobs_waiting", "used": 8, "limit": 10}] * 2


def test_a_removed_organization_leaves_no_usage(services: Services, admin: Member) -> None:
    from common.organizations import purging

    keeper = make_organization(services)
    for org_id in (admin.org_id, keeper):
        count_requests(services, org_id, 900)
    for name in purging.CONTROL_COLLECTIONS:
        while purging.remove_rows(services.control, name, admin.org_id):
            pass

    for collection in (services.control.usage, services.control.usage_warnings):
        assert [one["org_id"] for one in collection.find()] == [keeper]


def test_what_was_counted_up_to_when_is_said(services: Services, admin: Member) -> None:
    before = rfc3339(services.clock.now() - HANDED_ON_WITHIN)
    move(services)

    assert before <= usage(admin)["counted_to"] <= rfc3339(services.clock.now())
