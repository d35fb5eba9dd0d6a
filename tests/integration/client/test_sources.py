"""Sources from a program and from the command line."""

from pathlib import Path
from typing import Any

import pytest
from fairway import Fairway, Problem

from common.ids import JobId, OrgId
from common.services import Services
from common.sources import logs
from tests.integration.client.conftest import Run, printed

URL = "https://api.github.com/repos/acme/website"


def test_sources_from_a_program(fairway: Fairway) -> None:
    asked: dict[str, Any] = {"credentials": {"token": "x"}, "every_minutes": 60, "key": "once"}
    made = fairway.make_source("Ours", "github_issues", URL, **asked)

    assert fairway.make_source("Ours", "github_issues", URL, **asked) == made
    assert (made.credential_fields, made.last_run, made.running_job) == (["token"], None, None)
    assert [one.id for one in fairway.sources()] == [made.id]
    changed = fairway.change_source(made.id, name="Theirs", rate_limit={"limit": 1, "per_s": 60})
    assert (changed.name, changed.rate_limit) == ("Theirs", {"limit": 1, "per_s": 60})
    job = fairway.ingest(made.id, "full")
    assert fairway.source(made.id).running_job == f"/v1/jobs/{job.id}"
    with pytest.raises(Problem) as going:
        fairway.ingest(made.id)
    assert going.value.status == 409
    assert list(fairway.ingestion_logs(source_id=made.id)) == []
    fairway.delete_source(made.id)
    assert list(fairway.sources()) == []


def test_sources_from_the_command_line(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "credentials.json"
    secret.write_text('{"token": "kept-out-of-the-history"}')
    (made,) = printed(
        run(
            "--json", "source", "make", "Ours", "github_issues", URL,
            "--credentials", f"@{secret}", "--rate", "30", "60", "--every", "60",
        )
    )  # fmt: skip
    assert (made["has_credentials"], made["rate_limit"]) == (True, {"limit": 30, "per_s": 60})
    assert [one["id"] for one in printed(run("--json", "sources"))] == [made["id"]]
    (changed,) = printed(run("--json", "source", "change", "Ours", "--name", "Theirs", "--by-hand"))
    assert (changed["name"], changed["every_minutes"], changed["page_size"]) == ("Theirs", None, 100)
    (job,) = printed(run("--json", "ingest", "Theirs", "--full"))
    assert job["state"] == "queued"
    assert printed(run("--json", "source", "show", "Theirs"))[0]["running_job"] == f"/v1/jobs/{job['id']}"
    assert run("ingest", "Theirs").exit_code == 3
    assert printed(run("--json", "ingestions", "--source", "Theirs")) == []
    assert run("refused-records", job["id"]).exit_code == 3
    assert run("source", "show", "Nobodys").exit_code == 2
    assert run("source", "delete", made["id"]).exit_code == 0
    assert run("sources").exit_code == 0


def test_the_runs_of_sources_say_whose_they_are_and_why_they_failed(
    run: Run, fairway: Fairway, services: Services, org_id: OrgId
) -> None:
    source = fairway.make_source("Ours", "github_issues", URL)
    job, scope, now = JobId(fairway.ingest(source.id).id), services.scope(org_id), services.clock.now()
    fairway.cancel(job)
    logs.begin(scope, job, source.id, "full", now)
    logs.note(scope, job, {"new": 12})
    logs.end(scope, job, "failed", now, error={"code": "source-gone", "detail": "It is\ngone." + " Far" * 50})

    listed, last = run("ingestions"), run("sources")

    assert [word in listed.output for word in ("Ours", "failed", "new: 12", "gone.", "…")] == [True] * 5
    assert fairway.source(source.id).last_run is not None
    assert "failed" in last.output


def test_who_starts_a_run_beside_another_is_told_of_that(run: Run) -> None:
    run("source", "make", "Ours", "github_issues", URL)
    (job,) = printed(run("--json", "ingest", "Ours"))

    refused = run("ingest", "Ours")

    assert f"See: /v1/jobs/{job['id']} (`fairway show {job['id']}`)\n" in refused.stderr


def test_a_file_that_is_not_there_is_no_fault_of_its_json(run: Run) -> None:
    refused = run("source", "change", "Ours", "--config", "@nofile.json")

    assert refused.exit_code == 2
    assert "can't be read: No such file or directory" in refused.stderr
    assert "JSON" not in refused.stderr


def test_an_interval_and_none_are_not_taken_together(run: Run) -> None:
    refused = run("source", "change", "Ours", "--every", "5", "--by-hand")

    assert refused.exit_code == 2
    assert "give one of them" in refused.stderr


@pytest.mark.parametrize(("option", "value"), [("--every", "10081"), ("--every", "4"), ("--page-size", "1001")])
def test_what_is_out_of_range_is_not_asked_for(run: Run, option: str, value: str) -> None:
    assert run("source", "change", "Ours", option, value).exit_code == 2
