"""Whatever a source answers, a connector says one of the things that it can say."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.connectors.connector import Connector, Endpoint
from common.connectors.known import CONNECTORS
from common.errors import AnswerRefused, HostIll, SourceAsksToWait, SourceRefused, Unusable
from common.tickets.attributes import ATTRIBUTES_MAX

NAMES = st.sampled_from(
    [
        "id", "number", "title", "body", "state", "status", "subject", "description", "user", "login", "labels",
        "name", "tags", "via", "channel", "custom_fields", "value", "source", "type", "contacts", "external_id",
        "data", "text", "custom_attributes", "updated_at", "created_at", "changed", "tickets", "conversations",
        "pages", "next", "links", "starting_after", "meta", "has_more", "next_page", "after_url", "end_of_stream",
        "count", "milestone", "pull_request", "total",
    ]
)  # fmt: skip
SINGLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "open", "closed", "deleted", "/x?page=2", "https://evil.example/", "2026-01-01T00:00:00Z"]
    )
)
JSON = st.recursive(
    SINGLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6),
    max_leaves=12,
)
RECORDS = st.dictionaries(NAMES, JSON, max_size=8)
PAGES = st.builds(
    lambda name, records, more: {**more, name: records},
    st.sampled_from(["tickets", "conversations", "data"]),
    st.lists(RECORDS, max_size=2),
    st.dictionaries(NAMES, JSON, max_size=5),
)
REST: dict[str, Any] = {
    "records": "/data",
    "fields": {
        "external_id": "/id", "message": "/text", "subject": "/title", "status": "/status", "tags": "/tags",
        "customer_id": "/user/login", "created_at": "/created_at",
    },
    "changed_at": "/updated_at",
    "paging": {"style": "cursor", "next": "/links/next", "total": "/total"},
}  # fmt: skip
DESCRIBED = [
    REST,
    {**REST, "paging": {"style": "offset"}},
    {"paging": {"style": "link"}, "fields": REST["fields"]},
]
ALL = [
    *(
        known(Endpoint("https://api.example/repos/o/n", 10))
        for known in CONNECTORS.values()
        if not known.check({})
    ),
    *(CONNECTORS["rest"](Endpoint("https://api.example", 10, config)) for config in DESCRIBED),
]
each = pytest.mark.parametrize("connector", ALL, ids=lambda one: one.name)


@each
@settings(max_examples=60)
@given(record=RECORDS)
def test_any_record_is_a_ticket_or_can_not_be_used(connector: Connector, record: dict[str, Any]) -> None:
    assert connector.is_gone(record) in {True, False}
    changed_at = connector.changed_at(record)
    assert changed_at is None or changed_at.utcoffset() is not None
    try:
        name = connector.external_id(record)
        essence = orjson.dumps(connector.essence(record), option=orjson.OPT_SORT_KEYS)
        ticket = connector.ticket(record)
    except Unusable:
        return

    assert ticket["external_id"] == name
    assert essence
    assert ticket["message"].strip()
    assert len(ticket["attributes"]) <= ATTRIBUTES_MAX
    values = [*ticket["attributes"].values(), *ticket.values()]
    assert not any(isinstance(value, list | dict) for value in ticket["attributes"].values())
    assert all(-(2**63) <= value < 2**63 for value in values if isinstance(value, int))


@each
@settings(max_examples=60)
@given(record=RECORDS, field=NAMES, other=JSON)
def test_two_records_of_one_essence_are_one_ticket(
    connector: Connector, record: dict[str, Any], field: str, other: Any
) -> None:
    changed = {**record, field: other}
    try:
        both = connector.essence(record), connector.essence(changed)
        tickets = connector.ticket(record), connector.ticket(changed)
    except Unusable:
        return

    if orjson.dumps(both[0], option=orjson.OPT_SORT_KEYS) == orjson.dumps(both[1], option=orjson.OPT_SORT_KEYS):
        assert tickets[0] == tickets[1]


@each
@settings(max_examples=60)
@given(answer=JSON | PAGES | st.lists(RECORDS, max_size=2), status=st.just(200) | st.integers(100, 599))
def test_any_answer_is_a_page_or_says_why_not(connector: Connector, answer: Any, status: int) -> None:
    asked = connector.first(None).url
    try:
        page = connector.page(asked, status, {}, orjson.dumps(answer))
    except (SourceAsksToWait, SourceRefused, HostIll, AnswerRefused):
        return

    assert status == 200
    assert all(isinstance(record, dict) for record in page.records)
    assert page.next is None or page.next.startswith("https://api.example/")
    assert page.total is None or 0 <= page.total < 2**63


@each
@settings(max_examples=60)
@given(body=st.binary(max_size=60), link=st.text(max_size=40), content_type=st.text(max_size=20))
def test_any_bytes_are_a_page_or_say_why_not(
    connector: Connector, body: bytes, link: str, content_type: str
) -> None:
    headers = {"link": link, "content-type": content_type}
    found: Any = None
    try:
        found = connector.page(connector.first(None).url, 200, headers, body)
    except (HostIll, AnswerRefused) as error:
        found = error
    assert found.detail if isinstance(found, Exception) else all(isinstance(one, dict) for one in found.records)


@each
@pytest.mark.parametrize(
    "name", ["id", "number", "title", "text", "description", "labels", "tags", "custom_fields", "source", "user"]
)
def test_a_record_nested_too_deep_to_be_written_spoils_nothing(connector: Connector, name: str) -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    record = {"id": 1, "number": 1, "title": "t", "text": "t", "description": "t", "unknown": deep, name: deep}

    try:
        essence = connector.essence(record)
    except Unusable:
        return

    assert orjson.dumps(essence)
