"""Sources from a program and from the command line."""

from pathlib import Path
from typing import Any

import pytest
from fairway import Fairway, Problem

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
