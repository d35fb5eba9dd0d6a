"""Kinds that callers may submit: listed to whoever may, checked by their own types, run when they are due."""

from datetime import timedelta
from typing import Any

from flask import Flask

from common.clock import rfc3339
from common.services import Services
from tests.integration.conftest import Slot, token_of
from tests.integration.web.conftest import Member, problem_of

PATH = "/v1/kinds/probe.take_text/jobs"


def test_a_kind_is_listed_to_those_who_may_submit_it(admin: Member, services: Services, app: Flask) -> None:
    token = token_of(services, admin.org_id, "member")
    member = Member(app.test_client(), admin.org_id, token)

    of_admin, of_member = (
        {one["kind"]: one for one in who("GET", "/v1/kinds").json["items"]} for who in (admin, member)
    )

    assert of_admin["probe.take_text"]["links"] == {"submit": PATH}
    assert of_admin["probe.take_text"]["payload_schema"]["properties"]["text"]["maxLength"] == 200_000
    assert "probe.take_text" not in of_member
    assert "probe.be_quick" not in of_admin
    problem_of(member("POST", PATH, json={"payload": {"text": "x"}}), 403)


def test_a_submitted_job_is_done_and_shows_what_was_asked_with_it(admin: Member, slot: Slot) -> None:
    body: dict[str, Any] = {"payload": {"text": "$1.50 off"}, "tags": ["a", "b"], "priority": 9}

    made = admin("POST", PATH, json=body)
    done = slot.step()

    assert (made.json["tags"], made.json["priority"]) == (["a", "b"], 9)
    assert (done.state, done.result, done.payload) == ("succeeded", 9, {"text": "$1.50 off"})


def test_a_job_for_later_waits_for_its_time(admin: Member, services: Services, slot: Slot) -> None:
    at = services.clock.now() + timedelta(hours=1)

    made = admin("POST", PATH, json={"payload": {"text": "x"}, "run_at": rfc3339(at)})

    assert (made.json["state"], made.json["waiting_for"]["reason"]) == ("waiting", "run_at")
    assert slot.take() is None


def test_a_payload_that_no_job_can_carry_is_refused_by_name(admin: Member) -> None:
    problem = problem_of(admin("POST", PATH, json={"payload": {"text": "x" * 100_000}}), 422)

    assert problem["errors"][0]["pointer"] == "/payload"
    assert "65536" in problem["errors"][0]["detail"]


def test_a_kind_that_is_not_open_has_no_address(admin: Member) -> None:
    for kind in ("probe.be_quick", "tickets.import_file", "nothing.such"):
        problem_of(admin("POST", f"/v1/kinds/{kind}/jobs", json={"payload": {}}), 404)
    assert admin("GET", "/v1/jobs").json["items"] == []


def test_what_an_operator_submits_is_audited(operator: Member, services: Services) -> None:
    answer = operator("POST", "/v1/kinds/platform.tend_indexes/jobs", json={"payload": {"mode": "apply"}})

    assert answer.status_code == 202
    (entry,) = services.audit.page(limit=1)
    assert (entry["action"], entry["subject"]) == ("job.submit", "platform.tend_indexes")
    assert entry["actor"] == operator.user_id
