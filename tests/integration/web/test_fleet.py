"""Operators see and steer queues, workers, jobs, organizations and tiers; every change is audited."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from common.probe.be_quick import BeQuick
from flask import Flask

from common.ids import OrgId, new_id
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_organization
from tests.integration.web.conftest import Member, items, problem_of
from tests.integration.web.test_operations import operate  # noqa: F401 (a fixture)
from web.contract.limits import policies_of

HERE = "/v1/operations"
ABSENT = "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f"
LISTS = ("queues", "queues/tickets/organizations", "workers", "jobs", "organizations", "tiers", "pauses")
CHANGES = (
    ("POST", "queues/tickets/pause", None),
    ("POST", "queues/tickets/resume", None),
    ("POST", f"jobs/{ABSENT}/retry", None),
    ("POST", f"jobs/{ABSENT}/cancel", None),
    ("POST", "jobs/retry", {"filter": {}}),
    ("POST", "jobs/cancel", {"filter": {}}),
    ("PATCH", f"organizations/{ABSENT}", {"tier": "standard"}),
    ("PATCH", "tiers/free", {"running": 3}),
)


def tickets(operator: Member) -> dict[str, Any]:
    return next(one for one in items(operator, "queues") if one["queue"] == "tickets")


def audited(services: Services) -> list[tuple[str, str]]:
    return [(one["action"], one["subject"]) for one in services.audit.page(limit=20)]


@pytest.mark.parametrize("path", LISTS)
def test_only_operators_see_them(admin: Member, app: Flask, path: str) -> None:
    assert problem_of(admin("GET", f"{HERE}/{path}"), 403)["type"] == "/problems/forbidden"
    assert problem_of(app.test_client().get(f"{HERE}/{path}"), 401)["type"] == "/problems/unauthenticated"


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_only_operators_change_them(admin: Member, services: Services, method: str, path: str, body: Any) -> None:
    options = {} if body is None else {"json": body}

    assert problem_of(admin(method, f"{HERE}/{path}", **options), 403)["type"] == "/problems/forbidden"
    assert audited(services) == []


def test_a_queue_shows_what_waits_who_is_in_line_and_for_how_long(
    operator: Member, services: Services, org_id: OrgId, slot: Slot
) -> None:
    other = make_organization(services, "Other")
    for _ in range(3):
        services.submit(caller_of(org_id), BeQuick())
    services.submit(caller_of(other), BeQuick())
    slot.claim(slot.take())

    shown = tickets(operator)

    assert (shown["waiting"], shown["running"], shown["ready"], shown["over"], shown["served"]) == (3, 1, 2, 0, 1)
    assert shown["oldest_age_s"] >= 0
    line = items(operator, "queues/tickets/organizations")
    assert [(one["org_id"], one["waiting"], one["running"]) for one in line] == [(other, 1, 0), (org_id, 2, 1)]


def test_a_worker_shows_the_jobs_that_it_runs(
    operator: Member, services: Services, org_id: OrgId, slot: Slot
) -> None:
    job = services.submit(caller_of(org_id), BeQuick())
    services.lanes.beat("tickets", "test-worker", 4, alive_s=5, hold_s=30)
    slot.claim(slot.take())

    (worker,) = items(operator, "workers")

    assert (worker["worker"], worker["queue"], worker["slots"]) == ("test-worker", "tickets", 4)
    assert [(one["job_id"], one["org_id"]) for one in worker["jobs"]] == [(job.id, org_id)]


def test_a_paused_queue_begins_nothing_and_says_so(
    operator: Member, admin: Member, services: Services, slot: Slot
) -> None:
    job = services.submit(caller_of(admin.org_id), BeQuick())

    paused = operator("POST", f"{HERE}/queues/tickets/pause")

    assert (paused.status_code, paused.get_json()["by"]) == (200, operator.user_id)
    assert slot.take() is None
    assert admin("GET", f"/v1/jobs/{job.id}").get_json()["waiting_for"]["reason"] == "queue_paused"
    assert tickets(operator)["paused_since"] is not None
    assert [one["name"] for one in items(operator, "pauses")] == ["tickets"]
    operator("POST", f"{HERE}/queues/tickets/resume")
    assert slot.step().id == job.id
    assert problem_of(operator("POST", f"{HERE}/queues/tickets/resume"), 404)["type"] == "/problems/not-found"
    assert audited(services) == [("queue.resume", "tickets"), ("queue.pause", "tickets")]


@pytest.mark.parametrize(
    ("plural", "reason"), [("kinds", "kind_paused"), ("organizations", "organization_paused")]
)
def test_a_paused_kind_or_organization_lets_others_pass(
    operator: Member, admin: Member, slot: Slot, plural: str, reason: str
) -> None:
    services = slot.services
    name = BeQuick.name if plural == "kinds" else admin.org_id
    job = services.submit(caller_of(admin.org_id), BeQuick())
    operator("POST", f"{HERE}/{plural}/{name}/pause")

    assert slot.take() is None
    assert admin("GET", f"/v1/jobs/{job.id}").get_json()["waiting_for"]["reason"] == reason

    assert operator("POST", f"{HERE}/{plural}/{name}/resume").status_code == 200
    assert slot.step().id == job.id


def test_pausing_and_resuming_at_the_same_time_are_both_answered(operator: Member, app: Flask) -> None:
    answers: list[int] = []

    def ask(verb: str) -> None:
        own = Member(app.test_client(), operator.org_id, operator.token)
        answers.extend(own("POST", f"/v1/operations/queues/tickets/{verb}").status_code for _ in range(15))

    threads = [threading.Thread(target=ask, args=(verb,)) for verb in ("pause", "resume") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(answers) <= {200, 404}


def test_a_pause_outlives_redis(operator: Member, admin: Member, services: Services, slot: Slot) -> None:
    services.submit(caller_of(admin.org_id), BeQuick())
    operator("POST", f"{HERE}/queues/tickets/pause")
    services.broker.flushdb()
    services.steering.lay_down()

    services.submit(caller_of(admin.org_id), BeQuick())

    assert slot.take() is None


@pytest.mark.parametrize(
    "path", ["queues/nothing", "kinds/no.kind", f"organizations/{ABSENT}", "organizations/%00"]
)
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_not_there_is_not_paused(operator: Member, services: Services, path: str, verb: str) -> None:
    assert problem_of(operator("POST", f"{HERE}/{path}/{verb}"), 404)["type"] == "/problems/not-found"
    assert audited(services) == []


def test_operators_see_anybodys_jobs_without_what_is_in_them(
    operator: Member, services: Services, org_id: OrgId
) -> None:
    job = services.submit(caller_of(org_id), BeQuick())
    services.submit(caller_of(make_organization(services, "Other")), BeQuick())

    assert len(items(operator, "jobs")) == 2
    (shown,) = items(operator, "jobs", org_id=org_id, kind=BeQuick.name, state="queued")
    assert (shown["id"], shown["org_id"], shown["waiting_for"]["ahead"]) == (job.id, org_id, 0)
    assert "payload" not in shown
    assert "result" not in shown
    assert operator("GET", f"{HERE}/jobs/{job.id}").get_json() == shown


def test_operators_cancel_and_retry_anybodys_job(operator: Member, services: Services, org_id: OrgId) -> None:
    job = services.submit(caller_of(org_id), BeQuick())

    cancelled = operator("POST", f"{HERE}/jobs/{job.id}/cancel")
    retried = operator("POST", f"{HERE}/jobs/{job.id}/retry")

    assert (cancelled.status_code, cancelled.get_json()["state"]) == (200, "cancelled")
    assert (retried.status_code, retried.get_json()["run"]) == (202, 2)
    assert retried.headers["Location"] == f"{HERE}/jobs/{job.id}"
    assert problem_of(operator("POST", f"{HERE}/jobs/{job.id}/retry"), 409)["type"] == "/problems/conflict"
    assert audited(services)[-2:] == [("job.retry", job.id), ("job.cancel", job.id)]


def test_an_organizations_tier_is_changed_by_whoever_has_read_it(
    operator: Member, services: Services, org_id: OrgId
) -> None:
    here = f"{HERE}/organizations/{org_id}"
    tag = operator("GET", here).headers["ETag"]
    change = {"json": {"tier": "standard"}}

    assert problem_of(operator("PATCH", here, **change), 428)["type"] == "/problems/precondition-required"
    stale = operator("PATCH", here, headers={"If-Match": '"other"'}, **change)
    changed = operator("PATCH", here, headers={"If-Match": tag}, **change)
    again = operator("PATCH", here, headers={"If-Match": tag}, **change)

    assert problem_of(stale, 412)["type"] == problem_of(again, 412)["type"] == "/problems/precondition-failed"
    assert (changed.status_code, changed.get_json()["tier"]) == (200, "standard")
    assert changed.headers["ETag"] != tag
    assert services.broker.hget("fairway:lane:all:tier_of", org_id) == b"standard"
    assert audited(services) == [("organization.tier", f"{org_id} free standard")]


def test_organizations_are_found_by_part_of_their_names(operator: Member, services: Services) -> None:
    makers = [make_organization(services, name) for name in ("Acme (1)", "Other", "ACME two")]

    assert [one["id"] for one in items(operator, "organizations", q="acme")] == [makers[0], makers[2]]
    assert [one["id"] for one in items(operator, "organizations", q="(1)")] == [makers[0]]
    page = operator("GET", f"{HERE}/organizations?limit=2").get_json()
    rest = operator("GET", f"{HERE}/organizations?limit=2&cursor={page['next_cursor']}").get_json()
    assert [one["id"] for one in page["items"] + rest["items"]] == makers


@pytest.mark.parametrize("words", ["*", "(", "[", "\\", "$ne", "a" * 100, "😀", "%00x", " "])
def test_what_is_looked_for_is_only_text(operator: Member, words: str) -> None:
    assert items(operator, "organizations", q=words) == []


@pytest.mark.parametrize("words", ["\0", "a\0", "a" * 101])
def test_what_can_not_be_looked_for_is_named(operator: Member, words: str) -> None:
    problem = problem_of(operator("GET", f"{HERE}/organizations", query_string={"q": words}), 422)

    assert problem["errors"][0]["parameter"] == "q"


def test_many_are_counted_first_and_an_operators_own_are_not_everybodys(
    operator: Member, admin: Member, services: Services, slot: Slot
) -> None:
    jobs = [services.submit(caller_of(admin.org_id), BeQuick()) for _ in range(3)]
    cancel = {"filter": {"kind": BeQuick.name}}

    own = operator("POST", "/v1/jobs/cancel", json={**cancel, "dry_run": True})
    every = operator("POST", f"{HERE}/jobs/cancel", json={**cancel, "dry_run": True})
    one = operator("POST", f"{HERE}/jobs/cancel", json={**cancel, "dry_run": True, "org_id": admin.org_id})
    none = operator("POST", f"{HERE}/jobs/cancel", json={**cancel, "dry_run": True, "org_id": new_id()})

    assert [answer.get_json()["count"] for answer in (own, every, one, none)] == [0, 3, 3, 0]
    assert audited(services) == []
    asked = operator("POST", f"{HERE}/jobs/cancel", json=cancel, headers={"Idempotency-Key": "a"})
    again = operator("POST", f"{HERE}/jobs/cancel", json=cancel, headers={"Idempotency-Key": "a"})
    assert (asked.status_code, again.get_json()["id"]) == (202, asked.get_json()["id"])
    assert slot.step("organizations").result == {"found": 3, "changed": 3}
    assert {services.jobs.get(admin.org_id, job.id).state for job in jobs} == {"cancelled"}
    assert audited(services)[-1] == ("jobs.cancel", "all organizations")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": {"state": "succeeded"}}, "/filter/state"),
        ({"filter": {"state": "queued"}}, "/filter/state"),
        ({"filter": {"since": "yesterday"}}, "/filter/since"),
        ({"filter": {"colour": 1}}, "/filter/colour"),
        ({"filter": {}, "dry_run": "yes"}, "/dry_run"),
        ({"filter": {}, "org_id": "x"}, "/org_id"),
    ],
)
def test_a_bad_filter_is_named(admin: Member, body: dict[str, Any], pointer: str) -> None:
    problem = problem_of(admin("POST", "/v1/jobs/retry", json=body), 422)

    assert problem["errors"][0]["pointer"] == pointer


def test_the_table_of_tiers_is_changed_while_running(
    operator: Member, admin: Member, services: Services, slot: Slot
) -> None:
    jobs = [services.submit(caller_of(admin.org_id), BeQuick()) for _ in range(3)]
    for _ in jobs[:2]:
        slot.claim(slot.take())
    assert tickets(operator)["over"] == 1

    changed = operator("PATCH", f"{HERE}/tiers/free", json={"running": 3, "requests_a_minute": 7})

    assert changed.get_json()["running"] == 3
    assert tickets(operator)["over"] == 0
    assert next(one for one in items(operator, "tiers") if one["tier"] == "free")["weight"] == 1
    assert policies_of(services.steering.allowance_of(admin.org_id))[0].quota == 7
    assert audited(services) == [("tier.change", "free requests_a_minute=7 running=3")]


@pytest.mark.parametrize(
    "body",
    [
        {"running": 0},
        {"weight": "4"},
        {"weight": 1.5},
        {"colour": 1},
        {"waiting": -1},
        {"requests_an_hour": 10_000_001},
    ],
)
def test_a_bad_figure_of_a_tier_is_named(operator: Member, body: dict[str, Any]) -> None:
    problem = problem_of(operator("PATCH", f"{HERE}/tiers/free", json=body), 422)

    assert problem["errors"][0]["pointer"] == f"/{next(iter(body))}"
    assert problem_of(operator("PATCH", f"{HERE}/tiers/gold", json={"running": 3}), 404)["detail"]


def test_of_two_who_change_the_same_version_of_a_tier_one_does(operator: Member, app: Flask) -> None:
    read = operator("GET", f"{HERE}/tiers/free")
    answers: list[int] = []

    def change(running: int) -> None:
        own = Member(app.test_client(), operator.org_id, operator.token)
        headers = {"If-Match": read.headers["ETag"]}
        changed = own("PATCH", f"{HERE}/tiers/free", json={"running": running}, headers=headers)
        answers.append(changed.status_code)

    threads = [threading.Thread(target=change, args=(running,)) for running in range(3, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200, *[412] * 7]
    assert operator("GET", f"{HERE}/tiers/free").headers["ETag"] != read.headers["ETag"]
    assert operator("PATCH", f"{HERE}/tiers/free", json={"running": 3}).status_code == 200
    again = operator("GET", f"{HERE}/tiers/free").headers["ETag"]
    assert (
        operator("PATCH", f"{HERE}/tiers/free", json={"running": 4}, headers={"If-Match": again}).status_code
        == 200
    )
    problem_of(operator("GET", f"{HERE}/tiers/gold"), 404)


@pytest.mark.parametrize("path", ["tiers/free", "organizations/{}"])
def test_a_guard_that_names_no_version_is_refused(
    operator: Member, services: Services, org_id: OrgId, path: str
) -> None:
    body = {"tier": "standard"} if "{}" in path else {"running": 9}

    answer = operator("PATCH", f"{HERE}/{path.format(org_id)}", json=body, headers={"If-Match": ""})

    assert problem_of(answer, 422)["errors"][0]["header"] == "If-Match"
    assert services.registry.get(org_id, fresh=True).tier == "free"
    assert services.tiers.look("free")[0].running != 9


def test_too_many_waiting_are_refused_with_the_number(operator: Member, admin: Member, services: Services) -> None:
    operator("PATCH", f"{HERE}/tiers/free", json={"waiting": 3})
    cancelled = services.submit(caller_of(admin.org_id), BeQuick())
    for _ in range(2):
        services.submit(caller_of(admin.org_id), BeQuick())

    refused = admin("POST", "/v1/jobs/retry", json={"filter": {}})

    assert "3 jobs" in problem_of(refused, 429)["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert services.control.jobs.count_documents({}) == 3
    admin("POST", f"/v1/jobs/{cancelled.id}/cancel")
    assert admin("POST", "/v1/jobs/retry", json={"filter": {}}).status_code == 202


def test_a_job_says_how_many_of_its_own_stand_before_it(
    admin: Member, stranger: Member, services: Services, slot: Slot
) -> None:
    services.lanes.beat("tickets", "w", 1, alive_s=5, hold_s=30)
    for _ in range(5):
        services.submit(caller_of(stranger.org_id), BeQuick())
    mine = [services.submit(caller_of(admin.org_id), BeQuick()) for _ in range(4)]

    shown = {one["id"]: one["waiting_for"] for one in admin("GET", "/v1/jobs").get_json()["items"]}

    assert [shown[job.id]["ahead"] for job in mine] == [0, 1, 2, 3]
    assert shown[mine[0].id] == {"reason": "slot", "until": None, "ahead": 0}
    for _ in range(4):  # two of each run: the cap of a free organization
        slot.claim(slot.take())
    assert admin("GET", f"/v1/jobs/{mine[3].id}").get_json()["waiting_for"] == {
        "reason": "organization_limit",
        "until": None,
        "ahead": 1,
    }


def test_without_workers_a_job_says_so(admin: Member, services: Services) -> None:
    job = services.submit(caller_of(admin.org_id), BeQuick())

    assert admin("GET", f"/v1/jobs/{job.id}").get_json()["waiting_for"]["reason"] == "workers"


def test_the_command_line_shows_and_changes_the_same(
    operate: Callable[..., Any],  # noqa: F811 (the fixture)
    operator: Member,
    services: Services,
    org_id: OrgId,
) -> None:
    job = services.submit(caller_of(org_id), BeQuick())

    def asked(*arguments: str) -> Any:
        done = operate("--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert next(one for one in asked("queues") if one["queue"] == "tickets")["waiting"] == 1
    assert asked("line", "tickets")[0]["org_id"] == org_id
    assert asked("workers") == []
    assert asked("jobs", "--org", org_id, "--state", "queued")[0]["id"] == job.id
    assert asked("cancel", job.id)[0]["state"] == "cancelled"
    assert asked("change-many", "retry", "--org", org_id) == [{"count": 1, "more": False}]
    assert asked("retry", job.id)[0]["state"] == "queued"
    assert asked("pause", "kind", "tickets.import_file")[0]["what"] == "kind"
    assert asked("pauses") == items(operator, "pauses")
    assert asked("resume", "kind", "tickets.import_file")[0]["by"]
    assert asked("organizations", "acme")[0]["id"] == org_id
    assert asked("set-tier", org_id, "enterprise")[0]["tier"] == "enterprise"
    assert asked("change-tier", "free", "--weight", "2")[0]["weight"] == 2
    assert asked("tiers") == items(operator, "tiers")
    assert operate("line", "nothing").returncode == 3
    assert {one["via"] for one in asked("audit-log")} == {"command line"}
