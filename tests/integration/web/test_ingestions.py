"""Runs of sources and their logs over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.ids import JobId, new_id
from common.services import Services
from common.sources import logs
from common.tickets.collections import REFUSED_ROWS
from common.tickets.ingest import IngestTickets
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import at_once
from tests.integration.web.test_sources import make, pages_of

Json = dict[str, Any]


def start(who: Member, source: Json, mode: str = "incremental", **options: Any) -> TestResponse:
    """Ask for a run of a source."""
    return who("POST", f"/v1/sources/{source['id']}/ingestions", json={"mode": mode}, **options)


def begin(services: Services, who: Member, source: Json) -> str:
    """Start a run and begin its log, as its handler does; return its job's id."""
    job_id: str = start(who, source).json["id"]
    scope = services.scope(who.org_id)
    logs.begin(scope, JobId(job_id), source["id"], "incremental", services.clock.now())
    return job_id


def test_a_run_is_accepted_as_a_job(admin: Member) -> None:
    source = make(admin)

    answer = start(admin, source, "full")

    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == answer.json["links"]["self"]
    assert (answer.json["kind"], answer.json["state"]) == (IngestTickets.name, "queued")
    assert admin("GET", f"/v1/sources/{source['id']}").json["running_job"] == answer.headers["Location"]


def test_without_a_body_it_is_incremental(admin: Member) -> None:
    source = make(admin)

    answer = admin("POST", f"/v1/sources/{source['id']}/ingestions", headers={"Idempotency-Key": "once"})

    assert answer.status_code == 202, answer.text
    again = start(admin, source, "incremental", headers={"Idempotency-Key": "once"})
    assert again.json == answer.json


@pytest.mark.parametrize(("body", "media", "status"), [(b"{}", "text/plain", 415), (b"", "application/json", 400)])
def test_a_body_that_is_there_has_to_be_json(admin: Member, body: bytes, media: str, status: int) -> None:
    source = make(admin)

    problem_of(admin("POST", f"/v1/sources/{source['id']}/ingestions", data=body, content_type=media), status)
    assert admin("GET", f"/v1/ingestion-logs?source_id={source['id']}").json["items"] == []


def test_a_second_run_is_refused_with_a_link_to_the_first(admin: Member) -> None:
    source = make(admin)
    first = start(admin, source)

    problem = problem_of(start(admin, source, "full"), 409)

    assert problem["job"] == first.headers["Location"]


def test_the_same_key_gives_the_first_answer_again(admin: Member) -> None:
    source, headers = make(admin), {"Idempotency-Key": "once"}
    first, again = (start(admin, source, headers=headers) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem_of(start(admin, source, "full", headers=headers), 422)["type"].endswith("key-reused")


def test_a_double_click_starts_one_run(admin: Member, member_of: Callable[..., Member]) -> None:
    source = make(admin)
    people = [member_of(admin.org_id) for _ in range(6)]
    answers: list[TestResponse] = []

    at_once([lambda one=one: answers.append(start(one, source)) for one in people])  # type: ignore[misc]

    assert sorted(one.status_code for one in answers) == [202, *[409] * 5]
    assert len(admin("GET", "/v1/jobs").json["items"]) == 1


@pytest.mark.parametrize("body", [{"mode": "all"}, {"mode": None}, {"mode": 1}, {"colour": "red"}])
def test_a_run_is_of_a_known_mode(admin: Member, body: Json) -> None:
    source = make(admin)

    problem_of(admin("POST", f"/v1/sources/{source['id']}/ingestions", json=body), 422)

    assert admin("GET", "/v1/jobs").json["items"] == []


def test_a_log_shows_what_its_run_found(admin: Member, services: Services) -> None:
    source = make(admin)
    job_id = begin(services, admin, source)
    scope = services.scope(admin.org_id)
    changes = [{"field": "priority", "change": "new", "types": ["text"]}]

    logs.end(
        scope,
        JobId(job_id),
        "succeeded",
        services.clock.now(),
        {"new": 3, "errors": 1, "pages": 2},
        shape_changes=changes,
    )

    (log,) = admin("GET", "/v1/ingestion-logs", query_string={"source_id": source["id"]}).json["items"]
    assert (log["job_id"], log["source_id"], log["mode"]) == (job_id, source["id"], "incremental")
    assert (log["status"], log["new"], log["errors"], log["pages"], log["deleted"]) == ("succeeded", 3, 1, 2, 0)
    assert (log["error"], log["shape_changes"]) == (None, changes)
    assert admin("GET", log["links"]["job"]).status_code == 200
    assert admin("GET", log["links"]["refused"]).json == {"items": [], "next_cursor": None}


def test_a_log_says_why_its_run_deleted_nothing(admin: Member, services: Services) -> None:
    job_id = begin(services, admin, make(admin))
    scope, why = services.scope(admin.org_id), "The source showed no record at all."
    (running,) = admin("GET", "/v1/ingestion-logs").json["items"]

    logs.end(scope, JobId(job_id), "succeeded", services.clock.now(), kept_because=why)

    (log,) = admin("GET", "/v1/ingestion-logs").json["items"]
    assert (running["kept_because"], log["kept_because"]) == (None, why)


def test_a_run_that_was_cut_off_is_shown_as_its_job_ended(admin: Member, services: Services) -> None:
    source = make(admin)
    job_id = begin(services, admin, source)
    assert admin("POST", f"/v1/jobs/{job_id}/cancel").status_code == 200

    (log,) = admin("GET", "/v1/ingestion-logs").json["items"]
    shown = admin("GET", f"/v1/sources/{source['id']}").json

    assert (log["status"], log["ended_at"]) == (
        "cancelled",
        admin("GET", f"/v1/jobs/{job_id}").json["finished_at"],
    )
    assert shown["running_job"] is None
    assert shown["last_run"] == {name: log[name] for name in shown["last_run"]}


def test_the_last_run_is_shown_while_the_next_one_goes_on(admin: Member, services: Services) -> None:
    source = make(admin)
    first = begin(services, admin, source)
    admin("POST", f"/v1/jobs/{first}/cancel")
    second = begin(services, admin, source)

    (shown,) = admin("GET", "/v1/sources").json["items"]

    assert (shown["last_run"]["job_id"], shown["last_run"]["status"]) == (first, "cancelled")
    assert shown["running_job"] == f"/v1/jobs/{second}"


def test_logs_are_paged_from_the_newest_on(admin: Member, services: Services) -> None:
    source, other = make(admin), make(admin)
    told = []
    for _ in range(5):
        told.append(begin(services, admin, source))
        admin("POST", f"/v1/jobs/{told[-1]}/cancel")
    begin(services, admin, other)

    pages = list(pages_of(admin, f"/v1/ingestion-logs?limit=2&source_id={source['id']}"))

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["job_id"] for page in pages for one in page] == told[::-1]
    assert len(admin("GET", "/v1/ingestion-logs").json["items"]) == 6


def test_records_that_were_set_aside_are_listed_in_their_order(admin: Member, services: Services) -> None:
    job_id = begin(services, admin, make(admin))
    rows = services.scope(admin.org_id)[REFUSED_ROWS]
    for line in (3, 1, 2):
        row = {"_id": new_id(), "job_id": job_id, "line": line, "column": "message", "reason": f"Reason {line}."}
        rows.insert_one(row | ({"external_id": "4711", "page": 1} if line == 1 else {}))
    rows.insert_one({"_id": new_id(), "job_id": new_id(), "line": 1, "column": None, "reason": "Another job's."})

    pages = list(pages_of(admin, f"/v1/ingestion-logs/{job_id}/refused-records?limit=2"))

    assert [one["reason"] for page in pages for one in page] == ["Reason 1.", "Reason 2.", "Reason 3."]
    assert [(one["external_id"], one["page"]) for one in pages[0]] == [("4711", 1), (None, None)]


def test_a_job_of_another_kind_has_no_records_that_were_set_aside(admin: Member) -> None:
    job_id = admin("POST", "/v1/kinds/jobs.rehearse/jobs", json={"payload": {}}).json["id"]

    refused = [
        problem_of(admin("GET", f"/v1/ingestion-logs/{one}/refused-records"), 404) for one in (job_id, new_id())
    ]

    assert refused[0]["detail"] == refused[1]["detail"]


def test_another_organizations_runs_are_absent(admin: Member, stranger: Member, services: Services) -> None:
    source = make(admin)
    job_id = begin(services, admin, source)

    problem_of(stranger("GET", f"/v1/ingestion-logs/{job_id}/refused-records"), 404)
    assert stranger("GET", f"/v1/ingestion-logs?source_id={source['id']}").json["items"] == []


def test_a_source_that_was_deleted_leaves_its_logs(admin: Member, services: Services) -> None:
    source = make(admin)
    job_id = begin(services, admin, source)

    admin("DELETE", f"/v1/sources/{source['id']}")

    (log,) = admin("GET", "/v1/ingestion-logs").json["items"]
    assert (log["job_id"], log["status"]) == (job_id, "cancelled")
