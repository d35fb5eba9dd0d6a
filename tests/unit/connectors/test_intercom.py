"""Intercom's conversations, as its description has them."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from common.connectors.connector import Connector
from common.errors import AnswerRefused, CredentialsRefused, SourceAsksToWait, SourceIll, Unusable

URL = "https://api.intercom.io/conversations?per_page=150"
CONVERSATION: dict[str, Any] = {
    "type": "conversation",
    "id": "471",
    "created_at": 1_767_323_045,
    "updated_at": 1_770_091_506,
    "title": None,
    "state": "snoozed",
    "open": True,
    "read": False,
    "priority": "priority",
    "admin_assignee_id": 991,
    "tags": {"type": "tag.list", "tags": [{"id": "1", "name": "refund"}]},
    "source": {
        "type": "email",
        "id": "4039",
        "delivered_as": "customer_initiated",
        "subject": "<p>My <b>order</b></p>",
        "body": "<p>It&#39;s late.</p><p>Is 3 &lt; 5?<br/>Bye</p>",
        "author": {"type": "user", "id": "u"},
        "url": None,
    },
    "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "c1", "external_id": "70"}]},
    "custom_attributes": {"plan": "gold", "seats": 4, "list": ["x"], "none": None},
    "statistics": {"time_to_assignment": 3},
}


@pytest.fixture
def intercom(make: Any) -> Connector:
    connector: Connector = make("intercom", "https://api.intercom.io", page_size=150)
    return connector


def test_the_cursor_of_an_answer_goes_into_the_next_question(intercom: Connector) -> None:
    following = {"per_page": 150, "starting_after": "WzE3 Nz=="}
    body = {"conversations": [CONVERSATION], "total_count": 151, "pages": {"type": "pages", "next": following}}

    page = intercom.page(intercom.first(None).url, 200, {}, orjson.dumps(body))

    assert intercom.first(None).url == URL
    assert page.next == f"{URL}&starting_after=WzE3+Nz%3D%3D"
    assert (page.total, len(page.records)) == (151, 1)


@pytest.mark.parametrize("pages", [{}, {"next": None}, {"next": {"starting_after": None}}])
def test_without_a_cursor_it_is_the_last_page(intercom: Connector, pages: Any) -> None:
    body = {"conversations": [], "pages": pages}

    assert intercom.page(URL, 200, {}, orjson.dumps(body)).next is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"pages": None},
        {"pages": None, "total_count": 2},
        {"pages": []},
        {"pages": {"next": {}}},
        {"pages": {"next": "https://api.intercom.io/conversations?page=2"}},
    ],
)
def test_an_answer_that_says_nothing_of_a_next_page_does_not_pass_for_the_end(
    intercom: Connector, said: dict[str, Any]
) -> None:
    with pytest.raises(SourceIll, match="next page"):
        intercom.page(URL, 200, {}, orjson.dumps({"conversations": [CONVERSATION], **said}))


def test_a_first_page_that_holds_all_there_is_by_its_own_word_is_the_last(intercom: Connector) -> None:
    body = orjson.dumps({"conversations": [CONVERSATION], "total_count": 1, "pages": None})

    assert intercom.page(URL, 200, {}, body).next is None
    with pytest.raises(SourceIll):
        intercom.page(f"{URL}&starting_after=x", 200, {}, body)


@pytest.mark.parametrize("cursor", [True, 1.5, ["x"], {}, "x" * 9_000])
def test_a_cursor_that_is_none_is_not_followed(intercom: Connector, cursor: Any) -> None:
    body = {"conversations": [], "pages": {"next": {"starting_after": cursor}}}

    with pytest.raises(AnswerRefused):
        intercom.page(URL, 200, {}, orjson.dumps(body))


def test_a_conversation_becomes_a_ticket_in_plain_text(intercom: Connector) -> None:
    assert intercom.ticket(CONVERSATION) == {
        "external_id": "471",
        "customer_id": "70",
        "channel": "email",
        "subject": "My order",
        "message": "It's late.\nIs 3 < 5?\nBye",
        "status": "pending",
        "tags": ["refund"],
        "created_at": "2026-01-02T03:04:05.000Z",
        "attributes": {
            "delivered_as": "customer_initiated",
            "priority": "priority",
            "admin_assignee_id": 991,
            "plan": "gold",
            "seats": 4,
        },
    }
    assert intercom.changed_at(CONVERSATION) == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_a_contact_without_a_name_of_our_customers_is_called_by_its_own(intercom: Connector) -> None:
    nameless = {"contacts": [{"id": "c1", "external_id": None}]}

    assert intercom.ticket({**CONVERSATION, "contacts": nameless})["customer_id"] == "c1"
    assert "customer_id" not in intercom.ticket({**CONVERSATION, "contacts": {"contacts": []}})


def test_a_conversation_that_began_without_a_text_is_its_subject(intercom: Connector) -> None:
    silent = {**CONVERSATION["source"], "body": "<p> </p>"}

    assert intercom.ticket({**CONVERSATION, "source": silent})["message"] == "My order"
    with pytest.raises(Unusable):
        intercom.ticket({**CONVERSATION, "source": {}})


def test_markup_without_end_costs_no_more_than_its_length(intercom: Connector) -> None:
    endless = {**CONVERSATION["source"], "body": "<p" * 100_000 + "&" * 100_000 + "<br" * 100_000}

    assert len(intercom.ticket({**CONVERSATION, "source": endless})["message"]) == 600_000


def test_neither_reading_nor_statistics_change_the_essence(intercom: Connector) -> None:
    same = {**CONVERSATION, "read": True, "statistics": None, "updated_at": 1, "waiting_since": 2}

    assert intercom.essence(same) == intercom.essence(CONVERSATION)
    for change in (
        {"state": "open"},
        {"tags": None},
        {"contacts": None},
        {"source": {}},
        {"custom_attributes": {}},
    ):
        assert intercom.essence({**CONVERSATION, **change}) != intercom.essence(CONVERSATION)


def test_it_can_not_be_asked_for_changes_and_nothing_says_that_places_are_kept(intercom: Connector) -> None:
    assert (intercom.has_since, intercom.is_stable, intercom.lists_all) == (False, False, True)


def test_an_error_list_with_status_200_is_no_page(intercom: Connector) -> None:
    with pytest.raises(SourceIll):
        intercom.page(URL, 200, {}, b'{"type": "error.list", "errors": []}')


def test_a_limit_is_waited_for_until_it_resets(intercom: Connector) -> None:
    with pytest.raises(SourceAsksToWait) as raised:
        intercom.page(URL, 429, {"x-ratelimit-reset": "1772366410"}, b"{}")

    assert raised.value.retry_after_s == 10


def test_a_token_is_needed(intercom: Connector) -> None:
    assert intercom.secret_headers({"token": "t"}) == {"Authorization": "Bearer t"}
    assert intercom.check_credentials({}, {}) == [("/token", "Is needed.")]
    with pytest.raises(CredentialsRefused):
        intercom.secret_headers({})
