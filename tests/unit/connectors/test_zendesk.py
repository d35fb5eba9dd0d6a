"""Zendesk's tickets, by export, by cursor and by offset."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.connectors.connector import Connector
from common.errors import AnswerRefused, CredentialsRefused, SourceAsksToWait, SourceIll, Unusable

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE_URL = "https://shop.zendesk.com"
RECORDED = Path(__file__).parents[4] / "shared/data/api-recordings/zendesk/fixture/GET/tickets.json"
TICKET: dict[str, Any] = {
    "id": 35,
    "external_id": "order-9",
    "via": {"channel": "email", "source": {"rel": None}},
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-02-03T04:05:06Z",
    "subject": "Late",
    "raw_subject": "Late",
    "description": "Where is my parcel?",
    "priority": "high",
    "status": "hold",
    "requester_id": 400_000_000_001,
    "assignee_id": None,
    "tags": ["parcel", "late"],
    "custom_fields": [{"id": 11, "value": "gold"}, {"id": 12, "value": None}, {"id": 13, "value": ["a"]}],
    "generated_timestamp": 1_772_000_000,
}


@pytest.fixture
def zendesk(make: Any) -> Connector:
    connector: Connector = make("zendesk", BASE_URL)
    return connector


def page_of(connector: Connector, body: dict[str, Any]) -> Any:
    return connector.page(f"{BASE_URL}/api/v2/tickets.json", 200, {}, orjson.dumps(body))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
def test_the_recorded_page_gives_two_tickets(make: Any) -> None:
    zendesk = make("zendesk", "https://d3v-terraform-provider.zendesk.com", config={"paging": "offset"})

    page = zendesk.page(zendesk.first(None).url, 200, {}, RECORDED.read_bytes())

    tickets = [zendesk.ticket(record) for record in page.records]
    assert [(one["external_id"], one["subject"], one["status"]) for one in tickets] == [
        ("2", "Mail to create fixture ticket for testing", "resolved"),
        ("3", "にゃー", "resolved"),
    ]
    assert (page.next, page.total) == (None, 2)


@pytest.mark.parametrize(
    ("config", "path", "lists_all", "is_stable"),
    [
        ({}, "incremental/tickets/cursor.json?start_time=0&per_page=500", True, True),
        ({"paging": "export"}, "incremental/tickets/cursor.json?start_time=0&per_page=500", True, True),
        ({"paging": "cursor"}, "tickets.json?page%5Bsize%5D=100&sort=id", False, True),
        ({"paging": "offset"}, "tickets.json?per_page=100&page=1&sort_by=id&sort_order=asc", False, False),
    ],
)
def test_each_way_of_paging_begins_with_its_own_question(
    make: Any, config: dict[str, str], path: str, *, lists_all: bool, is_stable: bool
) -> None:
    zendesk = make("zendesk", f"{BASE_URL}/", page_size=500, config=config)

    assert zendesk.first(None).url == f"{BASE_URL}/api/v2/{path}"
    assert (zendesk.lists_all, zendesk.is_stable, zendesk.has_since) == (lists_all, is_stable, True)


@pytest.mark.parametrize("paging", ["export", "cursor", "offset"])
def test_what_has_changed_comes_by_the_export_which_begins_a_minute_ago_at_the_latest(
    make: Any, paging: str
) -> None:
    zendesk = make("zendesk", BASE_URL, config={"paging": paging})

    early, late = zendesk.first(NOW - timedelta(days=1)).url, zendesk.first(NOW).url

    assert early == f"{BASE_URL}/api/v2/incremental/tickets/cursor.json?start_time=1772280000&per_page=100"
    assert f"start_time={int(NOW.timestamp()) - 90}&" in late


def test_the_export_goes_on_until_it_says_that_its_stream_ends(zendesk: Connector) -> None:
    after = f"{BASE_URL}/api/v2/incremental/tickets/cursor.json?cursor=abc"

    going_on = page_of(zendesk, {"tickets": [TICKET], "after_url": after, "end_of_stream": False, "count": 1})
    last = page_of(zendesk, {"tickets": [TICKET], "after_url": after, "end_of_stream": True, "count": 1})

    assert (going_on.next, last.next) == (after, None)
    assert going_on.total is None, "the export counts its page, not all there is"


def test_a_list_by_cursor_goes_on_while_it_has_more(zendesk: Connector) -> None:
    links = {"next": f"{BASE_URL}/api/v2/tickets.json?page[after]=x&page[size]=100", "prev": None}

    going_on = page_of(zendesk, {"tickets": [], "meta": {"has_more": True}, "links": links})
    last = page_of(zendesk, {"tickets": [], "meta": {"has_more": False}, "links": links})

    assert going_on.next == f"{BASE_URL}/api/v2/tickets.json?page%5Bafter%5D=x&page%5Bsize%5D=100"
    assert last.next is None


def test_a_list_by_offset_goes_on_while_it_names_a_next_page(zendesk: Connector) -> None:
    following = f"{BASE_URL}/api/v2/tickets.json?page=2"

    going_on = page_of(zendesk, {"tickets": [TICKET], "next_page": following, "count": 101})
    last = page_of(zendesk, {"tickets": [], "next_page": None, "count": 101})

    assert (going_on.next, going_on.total, last.next) == (following, 101, None)


@pytest.mark.parametrize(
    "body",
    [
        {"tickets": []},
        {"tickets": [], "meta": {}},
        {"tickets": [], "meta": {"has_more": True}, "links": {}},
        {"tickets": [], "end_of_stream": False},
        {"tickets": [], "end_of_stream": "no"},
        {"tickets": {}, "next_page": None},
        {"error": "RecordNotFound"},
        [],
        None,
        "tickets",
    ],
)
def test_an_answer_that_does_not_say_whether_it_is_the_last_is_no_page(zendesk: Connector, body: Any) -> None:
    with pytest.raises(SourceIll):
        page_of(zendesk, body)


@pytest.mark.parametrize("following", ["https://evil.example/x", 7, ["x"], "file:///etc/passwd"])
def test_a_next_page_elsewhere_is_not_followed(zendesk: Connector, following: Any) -> None:
    with pytest.raises(AnswerRefused):
        page_of(zendesk, {"tickets": [], "next_page": following})


def test_a_ticket_becomes_one_of_ours(zendesk: Connector) -> None:
    assert zendesk.ticket(TICKET) == {
        "external_id": "35",
        "customer_id": 400_000_000_001,
        "channel": "email",
        "subject": "Late",
        "message": "Where is my parcel?",
        "status": "pending",
        "tags": ["parcel", "late"],
        "created_at": "2026-01-02T03:04:05Z",
        "attributes": {"external_id": "order-9", "priority": "high", "custom_field_11": "gold"},
    }
    assert zendesk.changed_at(TICKET) == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("new", "open"), ("open", "open"), ("pending", "pending"), ("hold", "pending"), ("solved", "resolved"),
        ("closed", "closed"), ("strange", "strange"),
    ],
)  # fmt: skip
def test_each_status_has_one_of_ours(zendesk: Connector, theirs: str, ours: str) -> None:
    assert zendesk.ticket({**TICKET, "status": theirs})["status"] == ours


def test_a_deleted_ticket_of_the_export_is_gone(zendesk: Connector) -> None:
    assert zendesk.is_gone({**TICKET, "status": "deleted"})
    assert not zendesk.is_gone(TICKET)


def test_a_ticket_keeps_fifty_attributes_its_own_first(zendesk: Connector) -> None:
    many = {**TICKET, "custom_fields": [{"id": number, "value": "x"} for number in range(80)]}

    attributes = zendesk.ticket(many)["attributes"]

    assert len(attributes) == 50
    assert list(attributes)[:3] == ["external_id", "priority", "custom_field_0"]


def test_a_ticket_without_any_text_says_so(zendesk: Connector) -> None:
    with pytest.raises(Unusable) as raised:
        zendesk.ticket({**TICKET, "description": " ", "subject": None})

    assert raised.value.field == "message"


def test_only_what_a_ticket_is_made_of_is_its_essence(zendesk: Connector) -> None:
    same = {**TICKET, "updated_at": "2026-02-09T00:00:00Z", "generated_timestamp": 1, "satisfaction_rating": {}}

    assert zendesk.essence(same) == zendesk.essence(TICKET)
    for change in ({"tags": []}, {"custom_fields": []}, {"status": "open"}, {"via": {"channel": "web"}}):
        assert zendesk.essence({**TICKET, **change}) != zendesk.essence(TICKET)


def test_a_limit_is_waited_for_as_long_as_it_says(zendesk: Connector) -> None:
    for headers, wait_s in (({"retry-after": "41"}, 41), ({"ratelimit-reset": "17"}, 17)):
        with pytest.raises(SourceAsksToWait) as raised:
            zendesk.page(BASE_URL, 429, headers, b"")
        assert raised.value.retry_after_s == wait_s


def test_the_credentials_are_an_address_with_a_token_or_an_oauth_token(zendesk: Connector) -> None:
    both = {"email": "ana@shop.example", "token": "t0"}

    sent = zendesk.secret_headers(both)["Authorization"].removeprefix("Basic ")

    assert base64.b64decode(sent) == b"ana@shop.example/token:t0"
    assert zendesk.secret_headers({"oauth_token": "o"}) == {"Authorization": "Bearer o"}
    assert zendesk.check_credentials(both, {}) == zendesk.check_credentials({"oauth_token": "o"}, {}) == []
    for other in ({}, {"token": "t"}, {**both, "oauth_token": "o"}):
        assert zendesk.check_credentials(other, {}) == [
            ("", "Give email and token, or oauth_token, and nothing else.")
        ]
    with pytest.raises(CredentialsRefused):
        zendesk.secret_headers({"token": "t"})


def test_a_setting_that_is_not_known_is_named(zendesk: Connector) -> None:
    assert zendesk.check({"paging": "offset"}) == []
    assert zendesk.check({"paging": 1, "pages": 2}) == [
        ("/pages", "zendesk has no such setting."),
        ("/paging", "Must be one of export, cursor, offset."),
    ]
    assert zendesk.check({"paging": ["export"]}) == [("/paging", "Must be one of export, cursor, offset.")]
