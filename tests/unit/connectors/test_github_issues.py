"""GitHub's issues, as it really answers and as it might."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from common.connectors.connector import Connector
from common.errors import (
    AnswerRefused,
    CredentialsRefused,
    SourceAsksToWait,
    SourceGone,
    SourceIll,
    Unusable,
)

BASE_URL = "https://api.github.com/repos/octokit-fixture-org/paginate-issues"
RECORDED = (
    Path(__file__).parents[4]
    / "shared/data/api-recordings/github/scenarios/api.github.com/paginate-issues/normalized-fixture.json"
)
ISSUE: dict[str, Any] = {
    "id": 9_001,
    "number": 7,
    "title": "It does not start",
    "body": "Nothing happens when I press the button.",
    "state": "closed",
    "state_reason": "completed",
    "user": {"login": "mona", "id": 3},
    "labels": [{"id": 1, "name": "bug", "color": "f00"}, {"id": 2, "name": "ui", "color": "0f0"}],
    "assignee": {"login": "hubot"},
    "milestone": {"title": "2.0"},
    "comments": 4,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-02-03T04:05:06Z",
    "html_url": "https://github.com/o/n/issues/7",
    "author_association": "NONE",
    "reactions": {"total_count": 3},
}


@pytest.fixture
def github(make: Any) -> Connector:
    connector: Connector = make("github_issues", BASE_URL, page_size=3)
    return connector


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
def test_the_five_recorded_pages_give_exactly_thirteen_issues(github: Connector) -> None:
    exchanges = {one["path"]: one for one in json.loads(RECORDED.read_text(encoding="utf-8"))}
    url: str | None = f"{BASE_URL}/issues?per_page=3"
    numbers: list[str] = []

    while url:
        exchange = exchanges.pop(url.removeprefix("https://api.github.com"))
        headers = {name: str(value) for name, value in exchange["headers"].items()}
        page = github.page(url, exchange["status"], headers, orjson.dumps(exchange["response"]))
        assert [github.ticket(record)["channel"] for record in page.records] == ["github"] * len(page.records)
        numbers += [github.external_id(record) for record in page.records]
        url = page.next

    assert sorted(numbers, key=int) == [str(number) for number in range(1, 14)]
    assert exchanges == {}


def test_pages_are_followed_by_link_and_pull_requests_are_passed_over(github: Connector) -> None:
    link = (
        '<https://api.github.com/repositories/1/issues?page=2>; rel="next", <https://api.github.com/x>; rel="last"'
    )
    body = orjson.dumps([{**ISSUE, "pull_request": None}, {**ISSUE, "number": 8, "pull_request": {"url": "u"}}])

    page = github.page(f"{BASE_URL}/issues", 200, {"link": link}, body)

    assert [github.external_id(record) for record in page.records] == ["7"]
    assert (page.passed_over, page.next) == (1, "https://api.github.com/repositories/1/issues?page=2")


def test_all_issues_are_asked_for_in_the_order_in_which_they_were_made(github: Connector) -> None:
    everything, changed = github.first(None), github.first(datetime(2026, 2, 1, 10, 0, 0, 999_000, tzinfo=UTC))

    assert urlsplit(everything.url).path == "/repos/octokit-fixture-org/paginate-issues/issues"
    asked = {"state": ["all"], "sort": ["created"], "direction": ["asc"], "per_page": ["3"]}
    assert parse_qs(urlsplit(everything.url).query) == asked
    assert parse_qs(urlsplit(changed.url).query) == {**asked, "since": ["2026-02-01T10:00:00Z"]}
    assert github.following("https://api.github.com/x").headers == everything.headers


def test_an_issue_becomes_a_ticket(github: Connector) -> None:
    assert github.ticket(ISSUE) == {
        "external_id": "7",
        "customer_id": "mona",
        "channel": "github",
        "subject": "It does not start",
        "message": "Nothing happens when I press the button.",
        "status": "resolved",
        "tags": ["bug", "ui"],
        "created_at": "2026-01-02T03:04:05Z",
        "attributes": {
            "html_url": "https://github.com/o/n/issues/7",
            "state_reason": "completed",
            "author_association": "NONE",
            "assignee": "hubot",
            "milestone": "2.0",
        },
    }
    assert github.changed_at(ISSUE) == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "reason", "status"),
    [
        ("open", None, "open"),
        ("open", "reopened", "open"),
        ("closed", None, "closed"),
        ("closed", "not_planned", "closed"),
        ("closed", "completed", "resolved"),
    ],
)
def test_only_what_was_completed_is_resolved(
    github: Connector, state: str, reason: str | None, status: str
) -> None:
    assert github.ticket({**ISSUE, "state": state, "state_reason": reason})["status"] == status


@pytest.mark.parametrize("body", [None, "", " \r\n"])
def test_an_issue_without_a_text_is_its_title(github: Connector, body: str | None) -> None:
    assert github.ticket({**ISSUE, "body": body})["message"] == "It does not start"


def test_an_author_who_is_gone_leaves_no_customer(github: Connector) -> None:
    assert "customer_id" not in github.ticket({**ISSUE, "user": None})


def test_what_changes_nothing_of_a_ticket_is_not_of_its_essence(github: Connector) -> None:
    same = {**ISSUE, "comments": 5, "reactions": {}, "updated_at": "2026-02-04T00:00:00Z"}
    recoloured = {**ISSUE, "labels": [{"name": "bug", "color": "fff"}, {"name": "ui"}]}

    assert github.essence(same) == github.essence(recoloured) == github.essence(ISSUE)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Other"},
        {"body": None},
        {"state": "open"},
        {"state_reason": "not_planned"},
        {"labels": []},
        {"user": None},
        {"assignee": None},
        {"milestone": None},
        {"number": 8},
        {"created_at": "2026-01-02T03:04:06Z"},
        {"html_url": "https://github.com/o/m/issues/7"},
    ],
)
def test_what_changes_a_ticket_is_of_its_essence(github: Connector, change: dict[str, Any]) -> None:
    assert github.essence({**ISSUE, **change}) != github.essence(ISSUE)


@pytest.mark.parametrize("change", [{"number": None}, {"number": 1.5}, {"body": ["x"]}, {"title": {"a": 1}}])
def test_an_issue_that_is_none_says_which_field_is_wrong(github: Connector, change: dict[str, Any]) -> None:
    with pytest.raises(Unusable) as raised:
        github.ticket({**ISSUE, **change})

    assert raised.value.field in change


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772366490"}, 90),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772366490"}, 90),
        (403, {"retry-after": "30", "x-ratelimit-remaining": "12"}, 30),
        (403, {"retry-after": "99999999"}, 3_600),
        (429, {}, 60),
        (503, {"retry-after": "5"}, 5),
    ],
)
def test_a_limit_is_waited_for(github: Connector, status: int, headers: dict[str, str], wait_s: float) -> None:
    with pytest.raises(SourceAsksToWait) as raised:
        github.page(BASE_URL, status, headers, b"{}")

    assert raised.value.retry_after_s == wait_s


def test_a_second_limit_that_says_no_time_is_waited_for_a_minute(github: Connector) -> None:
    said = b'{"message": "You have exceeded a secondary rate limit."}'

    with pytest.raises(SourceAsksToWait) as raised:
        github.page(BASE_URL, 403, {"x-ratelimit-remaining": "4000"}, said)

    assert raised.value.retry_after_s == 60


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, b'{"message": "Resource not accessible"}', CredentialsRefused),
        (401, b"{}", CredentialsRefused),
        (404, b"{}", SourceGone),
        (410, b"{}", SourceGone),
        (200, b'{"message": "Moved"}', SourceIll),
        (200, b"<html>", SourceIll),
        (502, b"<html>", SourceIll),
    ],
)
def test_what_is_no_page_says_what_it_is(
    github: Connector, status: int, body: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        github.page(BASE_URL, status, {"x-ratelimit-remaining": "4000"}, body)


@pytest.mark.parametrize(
    ("link", "error"),
    [('<https://evil.example/issues?page=2>; rel="next"', AnswerRefused), ("<https://api.github.com", SourceIll)],
)
def test_a_next_page_that_can_not_be_followed_does_not_pass_for_the_end(
    github: Connector, link: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        github.page(f"{BASE_URL}/issues", 200, {"link": link}, b"[]")


def test_it_can_be_asked_for_changes_and_a_deleted_issue_moves_those_behind_it(github: Connector) -> None:
    assert (github.has_since, github.is_stable, github.lists_all) == (True, False, True)


def test_a_public_repository_needs_no_token(github: Connector) -> None:
    assert github.secret_headers({}) == {}
    assert github.secret_headers({"token": "t"}) == {"Authorization": "Bearer t"}
    assert github.check_credentials({}, {}) == []
    assert github.check({"a/b": "bug"}) == [("/a~1b", "github_issues has no such setting.")]
