"""Sources as GitHub and Zendesk really answer: what was recorded is replayed, and each ticket comes once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.sources.draft import Draft
from common.tickets.attributes import from_stored
from tests.integration.ingestion.conftest import Ingestion
from tests.source_server import Answer, Call

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "api-recordings"
ISSUES = RECORDED / "github" / "scenarios" / "api.github.com" / "paginate-issues"
TICKETS = RECORDED / "zendesk" / "fixture" / "GET" / "tickets.json"
OF_THE_CONNECTION = {"connection", "content-length", "transfer-encoding", "server"}


@pytest.mark.parametrize("file", ["normalized-fixture.json", "raw-fixture.json"])
def test_recorded_issues_of_github(ingestion: Ingestion, file: str) -> None:
    pages = recorded_pages(ISSUES / file)
    github = replayed(ingestion, pages, without={"date"})

    first, second, full = github.run("full"), github.run("incremental"), github.run("full")

    assert github.figures(first) == {"new": 13}
    assert (first.result["pages"], first.result["passes"]) == (5, 1)
    assert github.figures(second) == github.figures(full) == {"unchanged": 13}
    assert github.history() == []
    issues = {str(one["number"]): one for page in pages.values() for one in orjson.loads(page.body)}
    for number, ticket in github.tickets().items():
        issue = issues[number]
        assert (ticket["subject"], ticket["customer_id"]) == (issue["title"], issue["user"]["login"])
        assert ticket["message"] == (issue["body"] or issue["title"])
        assert from_stored(ticket["attributes"])["html_url"] == issue["html_url"]
    assert len(github.tickets()) == len(issues) == 13


def test_recorded_issues_that_changed_in_the_second_of_the_answer_are_read_again(ingestion: Ingestion) -> None:
    """The recording was made within seconds of the issues: by its clock, they change while it is read."""
    github = replayed(ingestion, recorded_pages(ISSUES / "raw-fixture.json"))

    record = github.run("full")

    assert github.figures(record) == {"new": 13}
    assert (record.result["pages"], record.result["passes"]) == (15, 3)


def test_issues_in_the_shape_of_github(ingestion: Ingestion) -> None:
    """Invented, for where nothing recorded lies: with pull requests, which are passed over."""
    issues = [
        {
            "number": number,
            "title": f"Issue {number}",
            "body": None if number % 3 else f"It fails, {number}.",
            "state": "closed" if number % 2 else "open",
            "state_reason": "completed" if number % 2 else None,
            "user": {"login": "somebody"},
            "labels": [{"name": "bug"}],
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-02T00:00:00Z",
            **({"pull_request": {"url": "https://api.github.com/x"}} if number % 5 == 0 else {}),
        }
        for number in range(1, 26)
    ]
    bodies = [orjson.dumps(issues[start : start + 10]) for start in range(0, 25, 10)]
    base = "https://api.github.com/repositories/1/issues?page="
    pages = {
        str(number): Answer(
            body=body, headers={} if number == 3 else {"Link": f'<{base}{number + 1}>; rel="next"'}
        )
        for number, body in enumerate(bodies, 1)
    }
    github = replayed(ingestion, pages)

    record = github.run("full")

    assert github.figures(record) == {"new": 20}
    assert github.tickets()["3"]["status"] == "resolved"
    assert github.tickets()["1"]["message"] == "Issue 1"
    assert github.figures(github.run("full")) == {"unchanged": 20}


def test_githubs_own_limit_is_waited_for(ingestion: Ingestion) -> None:
    limited = Answer(
        403,
        b'{"message": "API rate limit exceeded"}',
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"},
    )
    github = replayed(ingestion, {"1": limited})

    record = github.run()

    assert (record.state, record.waiting_for["reason"], record.attempt) == ("waiting", "retry_after", 0)
    assert 3_500 < github.slot.outcomes[-1].delay_s <= 3_600


def recorded_pages(file: Path) -> dict[str, Answer]:
    """Return the pages of issues in a recording by their number."""
    if not file.exists():
        pytest.skip("nothing recorded lies here")
    exchanges = [one for one in orjson.loads(file.read_bytes()) if one["method"].lower() == "get"]
    return {str(number): _answer(one) for number, one in enumerate(exchanges, 1)}


def _answer(exchange: Mapping[str, Any]) -> Answer:
    flat = exchange.get("rawHeaders") or exchange["headers"]
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    headers = {name: str(value) for name, value in pairs if name.lower() not in OF_THE_CONNECTION}
    return Answer(exchange["status"], orjson.dumps(exchange["response"]), _titled(headers))


def _titled(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* with those that the server looks at written as it does."""
    return {name.title() if name.lower() in {"date", "link"} else name: value for name, value in headers.items()}


def replayed(
    ingestion: Ingestion, pages: Mapping[str, Answer], *, without: frozenset[str] | set[str] = frozenset()
) -> Ingestion:
    """Return a source of issues that answers with *pages*, which lead to one another where they are replayed."""
    server = ingestion.source

    def answer(call: Call, _number: int) -> Answer:
        page = pages[call.query.get("page", "1")]
        headers = {name: value for name, value in page.headers.items() if name.lower() not in without}
        if "Link" in headers:
            headers["Link"] = headers["Link"].replace("https://api.github.com", server.url)
        return replace(page, headers=headers)

    server.interfere = answer
    draft = Draft(
        name="Issues", connector="github_issues", base_url=f"{server.url}/repos/acme/website", page_size=3
    )
    made = ingestion.services.sources.create(ingestion.caller, draft, {"token": "a-token"})
    return replace(ingestion, source_id=made.source_id)


def zendesk_records(count: int) -> list[dict[str, Any]]:
    """Return tickets as Zendesk gives them, made of recorded ones where they lie."""
    invented = [
        {
            "id": 1,
            "subject": "Mail",
            "description": "It has not come.",
            "status": "new",
            "requester_id": 377922500012,
            "via": {"channel": "email"},
            "tags": ["late"],
            "custom_fields": [],
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-02T00:00:00Z",
        }
    ]
    shapes = orjson.loads(TICKETS.read_bytes())["tickets"] if TICKETS.exists() else invented
    return [
        {**shapes[number % len(shapes)], "id": number + 1, "subject": f"Mail {number}"} for number in range(count)
    ]


def by_offset(records: list[dict[str, Any]], url: str) -> Callable[[Call, int], Answer]:
    def answer(call: Call, _number: int) -> Answer:
        size, page = int(call.query["per_page"]), int(call.query["page"])
        here = records[size * (page - 1) : size * page]
        following = (
            f"{url}/api/v2/tickets.json?per_page={size}&page={page + 1}" if size * page < len(records) else None
        )
        body = {"tickets": here, "next_page": following, "previous_page": None, "count": len(records)}
        return Answer(body=orjson.dumps(body))

    return answer


def by_cursor(records: list[dict[str, Any]], url: str) -> Callable[[Call, int], Answer]:
    def answer(call: Call, _number: int) -> Answer:
        size, after = int(call.query["page[size]"]), int(call.query.get("page[after]", 0))
        has_more = after + size < len(records)
        following = f"{url}/api/v2/tickets.json?page%5Bsize%5D={size}&page%5Bafter%5D={after + size}"
        body = {
            "tickets": records[after : after + size],
            "meta": {"has_more": has_more, "after_cursor": str(after + size), "before_cursor": "x"},
            "links": {"prev": None, "next": following if has_more else None},
        }
        return Answer(body=orjson.dumps(body))

    return answer


def by_export(records: list[dict[str, Any]], url: str) -> Callable[[Call, int], Answer]:
    def answer(call: Call, _number: int) -> Answer:
        size, after = int(call.query["per_page"]), int(call.query.get("cursor", 0))
        is_end = after + size >= len(records)
        following = f"{url}/api/v2/incremental/tickets/cursor.json?per_page={size}&cursor={after + size}"
        body = {
            "tickets": records[after : after + size],
            "after_url": following,
            "after_cursor": str(after + size),
            "before_url": None,
            "before_cursor": None,
            "end_of_stream": is_end,
        }
        return Answer(body=orjson.dumps(body))

    return answer


STYLES = {"offset": by_offset, "cursor": by_cursor, "export": by_export}


def zendesk(ingestion: Ingestion, paging: str, records: list[dict[str, Any]]) -> Ingestion:
    """Return a source in the shapes of Zendesk."""
    server = ingestion.source
    answers = STYLES[paging](records, server.url)
    changed = by_export(records, server.url)
    server.interfere = lambda call, number: (changed if "incremental" in call.path else answers)(call, number)
    draft = Draft(
        name="Zendesk", connector="zendesk", base_url=server.url, page_size=10, config={"paging": paging}
    )
    made = ingestion.services.sources.create(ingestion.caller, draft, {"email": "a@b.example", "token": "t"})
    return replace(ingestion, source_id=made.source_id)


@pytest.mark.parametrize("paging", sorted(STYLES))
def test_tickets_in_the_shapes_of_zendesk(ingestion: Ingestion, paging: str) -> None:
    records = zendesk_records(25)
    tickets = zendesk(ingestion, paging, records)

    first, second = tickets.run("full"), tickets.run("incremental")
    records[3] |= {"status": "closed", "updated_at": "2026-01-03T00:00:00Z"}
    third = tickets.run("full")

    assert (tickets.figures(first), first.result["pages"]) == ({"new": 25}, 3)
    assert tickets.figures(second) == {"unchanged": 25}
    assert tickets.figures(third) == {"unchanged": 24, "updated": 1}
    assert tickets.tickets()["4"]["status"] == "closed"
    assert {one["subject"] for one in tickets.tickets().values()} == {one["subject"] for one in records}


@pytest.mark.parametrize(("paging", "kept"), [("offset", True), ("cursor", True), ("export", False)])
def test_what_a_list_lacks_is_deleted_only_where_the_list_is_whole(
    ingestion: Ingestion, paging: str, *, kept: bool
) -> None:
    """A closed ticket leaves Zendesk's lists when it is archived; the export still has it."""
    records = zendesk_records(25)
    tickets = zendesk(ingestion, paging, records)
    tickets.run("full")
    del records[3]

    record = tickets.run("full")

    assert (record.result["kept_because"] is not None) == kept
    assert ("4" in tickets.tickets()) == kept


def test_what_the_export_says_is_deleted_is_deleted_by_an_incremental_run_too(ingestion: Ingestion) -> None:
    records = zendesk_records(25)
    tickets = zendesk(ingestion, "export", records)
    tickets.run("full")
    for number in (3, 17):
        records[number] |= {"status": "deleted", "updated_at": "2026-01-03T00:00:00Z"}

    record, again = tickets.run("incremental"), tickets.run("full")

    assert tickets.figures(record) == {"unchanged": 23, "deleted": 2}
    assert tickets.figures(again) == {"unchanged": 23}
    assert [one["action"] for one in tickets.history()] == ["deleted", "deleted"]
    records[3] |= {"status": "open", "updated_at": "2026-01-04T00:00:00Z"}
    assert tickets.figures(tickets.run("incremental")) == {"unchanged": 23, "returned": 1}


def test_a_ticket_that_is_changed_and_deleted_on_one_page_of_the_export_is_gone(ingestion: Ingestion) -> None:
    records = zendesk_records(5)
    tickets = zendesk(ingestion, "export", records)
    tickets.run("full")
    records.append({**records[3], "subject": "Changed", "updated_at": "2026-01-03T00:00:00Z"})
    records.append({**records[3], "status": "deleted", "updated_at": "2026-01-04T00:00:00Z"})

    record = tickets.run("incremental")

    assert record.state == "succeeded", record.errors
    assert "4" not in tickets.tickets()
