"""Reports over HTTP: which there are, what is in their files, whose they are, and until when."""

import csv
import hashlib
import io
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from python_calamine import load_workbook

from common.analytics import reports
from common.files.collections import LOOSE_BLOBS
from common.services import Services
from common.tickets.collections import TICKETS
from tests.integration.conftest import Asked, Slot
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.ticket_makers import make_ticket

PATH = "/v1/analytics/reports"
RANGE = {"from": "2020-01-01T00:00:00Z", "to": "2029-01-01T00:00:00Z"}
FORMULAS = ("=1+1", "@SUM(A1)", "\t=1", "-2+3", "\uff1d1", "+4915112345", 'a, "b"\r\nc', "\u202e", "Grüße 客户 🎉")
Json = dict[str, Any]


@pytest.fixture
def report_of(admin: Member, services: Services) -> Callable[..., tuple[Json, bytes]]:
    """Return a function that has a report made, and returns what is shown of it and its file."""

    def make(kind: str, format_: str, **more: Any) -> tuple[Json, bytes]:
        accepted = admin("POST", PATH, json={"kind": kind, "format": format_, **RANGE, **more})
        assert accepted.status_code == 202, accepted.text
        done = Slot(services).step("analytics")
        assert done is not None
        assert done.state == "succeeded", done.error
        assert done.result is not None
        shown: Json = admin("GET", done.result["links"]["self"]).get_json()
        content = admin("GET", done.result["links"]["content"])
        assert content.status_code == 200, content.text
        assert (len(content.data), shown["rows"]) == (shown["size_bytes"], done.result["rows"])
        return shown, content.data

    return make


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


def sheet(content: bytes) -> list[list[Any]]:
    return load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()


Make = Callable[..., tuple[Json, bytes]]


def test_tickets_are_the_same_in_every_format(admin: Member, report_of: Make) -> None:
    for text in FORMULAS:
        make_ticket(
            admin, text, customer_id=text.strip() or "c", attributes={"$a.b": text, "n": 1}, tags=["x", "y"]
        )
    gone = make_ticket(admin, "gone")
    assert admin("DELETE", f"/v1/tickets/{gone['id']}").status_code == 204

    _, as_json = report_of("tickets", "json")
    shown, as_csv = report_of("tickets", "csv")
    _, as_xlsx = report_of("tickets", "xlsx")

    found, rows, cells = orjson.loads(as_json), table(as_csv), sheet(as_xlsx)
    assert [one["message"] for one in found] == list(FORMULAS)
    assert shown["rows"] == len(found) == len(rows) == len(cells) - 1
    assert list(found[0]) == list(rows[0]) == cells[0]
    assert [row["message"].replace("'", "") for row in rows] == list(FORMULAS)
    assert [row["message"][:1] for row in rows[:5]] == ["'"] * 5
    assert [line[:6] for line in cells[1:]] == [list(row.values())[:6] for row in rows]
    assert orjson.loads(rows[0]["attributes"]) == found[0]["attributes"] == {"$a.b": FORMULAS[0], "n": 1}
    assert orjson.loads(rows[0]["tags"]) == ["x", "y"]
    assert rows[0]["created_at"] == found[0]["created_at"]


def test_a_report_of_nothing_is_a_file(report_of: Make) -> None:
    assert orjson.loads(report_of("tickets", "json")[1]) == []
    assert table(report_of("tickets", "csv")[1]) == []
    assert len(sheet(report_of("tickets", "xlsx")[1])) == 1
    assert b"No ticket says anything yet." in report_of("overview", "html")[1]


def test_statistics_and_usage_are_what_the_api_shows(admin: Member, report_of: Make, services: Services) -> None:
    make_ticket(admin, "URGENT!! This is terrible, my card was stolen!", customer_id="=1")
    make_ticket(admin, "URGENT!! This is terrible, my card was stolen!", customer_id="=1")
    services.meter.flush()
    services.mover.once()
    shown = admin("GET", "/v1/analytics/tickets", query_string=RANGE).get_json()

    statistics = orjson.loads(report_of("statistics", "json")[1])
    flat = {(row["section"], row["key"]): row["value"] for row in table(report_of("statistics", "csv")[1])}
    usage = orjson.loads(
        report_of("usage", "json", **{"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"})[1]
    )

    assert {**statistics, "as_of": ""} == {**shown, "as_of": ""}
    assert flat["total", ""] == flat["by_sentiment", "negative"] == flat["at_risk_customers", "'=1"] == "2"
    assert usage["rows_written"] == 2
    assert (
        len(table(report_of("usage", "csv", **{"from": "2026-11-01T00:00:00Z", "to": "2026-11-03T00:00:00Z"})[1]))
        == 2
    )


def test_a_source_and_a_range_are_kept_to(admin: Member, report_of: Make, services: Services) -> None:
    made = [make_ticket(admin, f"number {number}") for number in range(3)]
    first = services.scope(admin.org_id)[TICKETS].find_one({"_id": made[0]["id"]})
    assert first is not None
    second = services.scope(admin.org_id)[TICKETS].find_one({"_id": made[1]["id"]})
    assert second is not None

    until = (second["created_at"]).isoformat()

    assert [row["message"] for row in table(report_of("tickets", "csv", to=until)[1])] == ["number 0"]
    assert table(report_of("tickets", "csv", source_id="another")[1]) == []
    assert len(table(report_of("tickets", "csv", source_id="manual")[1])) == 3


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"format": "html"}, "/format"),
        ({"kind": "overview"}, "/format"),
        ({"format": "pdf"}, "/format"),
        ({"kind": "everything"}, "/kind"),
        ({"tz": "Europe/Berlin"}, "/tz"),
        ({"kind": "statistics", "tz": "Mars/Olympus"}, "/tz"),
        ({"kind": "usage", "source_id": "a"}, "/source_id"),
        ({"kind": "usage"}, "/to"),
        ({"to": "2019-01-01T00:00:00Z"}, "/to"),
        ({"to": RANGE["from"]}, "/to"),
        ({"from": "1971-01-01T00:00:00Z"}, "/from"),
        ({"to": "10000-01-01T00:00:00Z"}, "/to"),
        ({"to": "2026-01-01T00:00:00"}, "/to"),
        ({"from": {"$gt": ""}}, "/from"),
        ({"source_id": {"$ne": None}}, "/source_id"),
        ({"source_id": ""}, "/source_id"),
        ({"org_id": "another"}, "/org_id"),
    ],
)
def test_a_report_that_there_is_not_is_refused_by_its_field(admin: Member, asked: Json, pointer: str) -> None:
    answer = admin("POST", PATH, json={"kind": "tickets", "format": "csv", **RANGE, **asked})

    assert pointer in [one.get("pointer") for one in problem_of(answer, 422)["errors"]]


def test_the_same_request_makes_one_report(admin: Member) -> None:
    asked = {"kind": "tickets", "format": "csv", **RANGE}
    once = admin("POST", PATH, json=asked, headers={"Idempotency-Key": "a-report"})
    again = admin("POST", PATH, json=asked, headers={"Idempotency-Key": "a-report"})
    other = admin("POST", PATH, json={**asked, "format": "json"}, headers={"Idempotency-Key": "a-report"})

    assert once.json["id"] == again.json["id"]
    assert problem_of(other, 422)["type"] == "/problems/idempotency-key-reused"


def test_a_report_is_its_organizations_alone(admin: Member, stranger: Member, report_of: Make) -> None:
    shown, content = report_of("tickets", "csv")
    here = f"{PATH}/{shown['id']}"

    for path in (here, f"{here}/content"):
        problem_of(stranger("GET", path), 404)
    problem_of(stranger("DELETE", here), 404)
    assert stranger("GET", PATH).json["items"] == []
    assert admin("GET", f"{here}/content").data == content


def test_a_report_comes_as_an_attachment_and_in_parts(admin: Member, report_of: Make) -> None:
    make_ticket(admin, "<script>alert(1)</script>")
    shown, content = report_of("overview", "html")
    whole = admin("GET", f"{PATH}/{shown['id']}/content")
    part = admin("GET", f"{PATH}/{shown['id']}/content", headers={"Range": "bytes=10-19"})

    assert whole.headers["Content-Disposition"] == 'attachment; filename="overview-2020-01-01-2029-01-01.html"'
    assert whole.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert (part.status_code, part.data) == (206, content[10:20])
    assert b"<script" not in content


def test_a_report_expires_with_its_bytes(
    admin: Member, report_of: Make, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, _ = report_of("tickets", "csv")
    (row,) = services.scope(admin.org_id)[LOOSE_BLOBS].find({})
    assert services.cleaner.once().deleted == 0
    assert services.blobs.exists(row["_id"])

    later = services.clock.now() + timedelta(days=7, seconds=1)
    monkeypatch.setattr(services.clock, "now", lambda: later)

    assert services.cleaner.once().deleted == 1
    assert not services.blobs.exists(row["_id"])
    scope = services.scope(admin.org_id)
    assert scope[reports.REPORTS].find_one({"_id": shown["id"], "expires_at": {"$gt": later}}) is None
    assert services.reports.page(admin.org_id, before=None, limit=10) == []


def test_a_deleted_report_is_gone_with_its_bytes(admin: Member, report_of: Make, services: Services) -> None:
    shown, _ = report_of("tickets", "csv")
    (row,) = services.scope(admin.org_id)[LOOSE_BLOBS].find({})

    assert admin("DELETE", f"{PATH}/{shown['id']}").status_code == 204

    problem_of(admin("GET", f"{PATH}/{shown['id']}"), 404)
    assert not services.blobs.exists(row["_id"])


def test_so_many_are_kept(
    admin: Member, report_of: Make, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "REPORTS_MOST", 1)
    report_of("tickets", "csv")
    admin("POST", PATH, json={"kind": "tickets", "format": "csv", **RANGE})

    done = Slot(services).step("analytics")

    assert done is not None
    assert done.error is not None
    assert (done.state, done.error["code"]) == ("failed", "too-many-reports")


def test_the_list_is_paged_newest_first(admin: Member, report_of: Make) -> None:
    made = [report_of("statistics", "json")[0]["id"] for _ in range(3)]

    first = admin("GET", PATH, query_string={"limit": 2}).json
    rest = admin("GET", PATH, query_string={"limit": 2, "cursor": first["next_cursor"]}).json

    assert [one["id"] for one in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None


def test_a_key_for_tickets_sees_no_usage(admin: Member, report_of: Make) -> None:
    shown, _ = report_of("usage", "json", **{"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"})
    made = admin("POST", "/v1/api-keys", json={"name": "k", "scopes": ["tickets:read", "tickets:write"]}).json
    key = Member(admin.http, admin.org_id, made["token"])
    asked = {"format": "csv", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}

    assert key("POST", PATH, json={"kind": "tickets", **asked}).status_code == 202
    problem_of(key("POST", PATH, json={"kind": "usage", **asked}), 403)
    problem_of(key("GET", f"{PATH}/{shown['id']}/content"), 403)


def test_a_run_that_is_cut_off_leaves_nothing_and_the_next_one_writes_all(
    admin: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        make_ticket(admin, f"number {number}")
    admin("POST", PATH, json={"kind": "tickets", "format": "csv", **RANGE})
    slot, save = Slot(services), services.blobs.save
    claimed = slot.claim(slot.take("analytics"))
    assert claimed is not None

    def dies_after_it_stored(*args: Any, **options: Any) -> Any:
        save(*args, **options)
        raise RuntimeError

    monkeypatch.setattr(services.blobs, "save", dies_after_it_stored)
    assert slot.run(claimed).ending != "succeeded"
    assert admin("GET", PATH).json["items"] == []
    monkeypatch.setattr(services.blobs, "save", save)
    assert slot.run(claimed).ending == slot.run(claimed).ending == "succeeded"

    (shown,) = admin("GET", PATH).json["items"]
    services.cleaner.once()
    (row,) = services.scope(admin.org_id)[LOOSE_BLOBS].find({"deleted": None})
    assert services.blobs.exists(row["_id"])
    assert (
        sum(services.blobs.exists(one["_id"]) for one in services.scope(admin.org_id)[LOOSE_BLOBS].find({})) == 1
    )
    assert len(table(admin("GET", shown["links"]["content"]).data)) == 3


def test_a_run_that_wakes_when_another_is_over_changes_no_byte_of_its_report(
    admin: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_ticket(admin, "one")
    admin("POST", PATH, json={"kind": "tickets", "format": "csv", **RANGE})
    slot, save = Slot(services), services.blobs.save
    claimed = slot.claim(slot.take("analytics"))
    assert claimed is not None

    def frozen_with_all_it_read(pieces: Any, **options: Any) -> Any:
        read = list(pieces)
        monkeypatch.setattr(services.blobs, "save", save)
        make_ticket(admin, "two")
        assert slot.run(claimed).ending == "succeeded"
        return save(iter(read), **options)

    monkeypatch.setattr(services.blobs, "save", frozen_with_all_it_read)
    slot.run(claimed)

    (shown,) = admin("GET", PATH).json["items"]
    content = admin("GET", shown["links"]["content"]).data
    assert hashlib.sha256(content).hexdigest() == shown["sha256"]
    assert (shown["rows"], len(table(content))) == (2, 2)


def test_a_sheet_leaves_no_draft_of_this_run_or_of_one_that_was_killed(
    admin: Member, services: Services, report_of: Make
) -> None:
    make_ticket(admin, "one")
    old = services.settings.data_dir / "drafts" / "killed-long-ago"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))

    report_of("tickets", "xlsx")

    assert list(old.parent.iterdir()) == []


def test_a_cancelled_report_leaves_nothing(admin: Member, services: Services) -> None:
    for number in range(3):
        make_ticket(admin, f"number {number}")
    admin("POST", PATH, json={"kind": "tickets", "format": "csv", **RANGE})
    slot = Slot(services)
    claimed = slot.claim(slot.take("analytics"))
    assert claimed is not None

    outcome = slot.run(claimed, Asked(cancel=True))

    assert outcome.ending == "cancelled"
    assert admin("GET", PATH).json["items"] == []
    assert not any(services.blobs.exists(row["_id"]) for row in services.scope(admin.org_id)[LOOSE_BLOBS].find({}))
