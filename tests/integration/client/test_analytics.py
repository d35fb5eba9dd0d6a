"""Statistics, usage and reports from a program and from the command line."""

from pathlib import Path

import pytest
from fairway import Fairway, Problem

from tests.integration.client.conftest import Run, printed

YEARS = {"made_from": "2020-01-01T00:00:00Z", "made_to": "2030-01-01T00:00:00Z"}
OPTIONS = ("--from", YEARS["made_from"], "--to", YEARS["made_to"])


@pytest.mark.usefixtures("working")
def test_reports_from_a_program(fairway: Fairway, tmp_path: Path) -> None:
    fairway.make_ticket("=1+1")
    job = fairway.wait(fairway.make_report("tickets", "csv", **YEARS, key="once").id)

    assert fairway.make_report("tickets", "csv", **YEARS, key="once").id == job.id
    (report,) = fairway.reports()
    assert (report.id, report.rows, report.filename) == (job.id, 1, "tickets-2020-01-01-2030-01-01.csv")
    fairway.download_report(report.id, tmp_path / "a.csv")
    assert "'=1+1" in (tmp_path / "a.csv").read_text()
    fairway.delete_report(report.id)
    assert list(fairway.reports()) == []
    with pytest.raises(Problem, match="can't be made"):
        fairway.make_report("overview", "csv", **YEARS)


@pytest.mark.usefixtures("working")
def test_reports_from_the_command_line(run: Run, fairway: Fairway, tmp_path: Path) -> None:
    fairway.make_ticket("Where is it?")
    page, sheet = tmp_path / "page.html", tmp_path / "sheet"

    made = run("report", "make", "overview", str(page), *OPTIONS, "--tz", "Europe/Berlin")
    assert made.exit_code == 0, made.output
    assert page.read_text().startswith("<!doctype html>")
    assert run("report", "make", "overview", str(page), *OPTIONS).exit_code == 2
    told = run("report", "make", "tickets", str(sheet), "--format", "xlsx")
    assert "sheet, 1 rows, " in told.output.replace("\n", "")
    assert sheet.read_bytes()[:2] == b"PK"
    listed = printed(run("--json", "reports"))
    assert [one["format"] for one in listed] == ["xlsx", "html"]
    assert run("report", "fetch", listed[1]["id"], str(tmp_path / "again.html")).exit_code == 0
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    assert run("report", "delete", listed[0]["id"]).exit_code == 0
    assert len(printed(run("--json", "reports"))) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tickets.pdf", "json or csv or xlsx"),
        ("tickets.html", "json or csv or xlsx"),
        ("overview.csv", "html"),
        ("nowhere/tickets.csv", "no folder"),
    ],
)
def test_a_file_that_can_not_be_is_refused_before_anything_is_made(
    run: Run, fairway: Fairway, tmp_path: Path, name: str, said: str
) -> None:
    refused = run("report", "make", Path(name).stem, str(tmp_path / name))

    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())
    assert list(fairway.jobs()) == []


def test_statistics_and_usage_from_the_command_line(run: Run, fairway: Fairway) -> None:
    fairway.make_ticket("Where is it?")
    fairway.make_source("Ours", "github_issues", "https://api.github.com/repos/acme/website")

    (found,) = printed(run("--json", "statistics", *OPTIONS, "--tz", "Europe/Berlin"))
    (of_source,) = printed(run("--json", "statistics", *OPTIONS, "--source", "Ours"))
    (usage,) = printed(run("--json", "usage"))

    assert (found["total"], found["tz"], of_source["total"]) == (1, "Europe/Berlin", 0)
    assert usage["storage"]["used_bytes"] == 0
    shown = run("statistics", "--from", "2020-01-01", "--to", "2030-01-01").output
    assert "2020-01-01T00:00:00.000Z" in shown
    assert len(shown.splitlines()) < 30
    assert len(run("usage").output.splitlines()) < 30
    assert fairway.usage().range == usage["range"]
