"""Any API, as its settings describe it."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from common.connectors.connector import Connector
from common.errors import AnswerRefused, CredentialsRefused, SourceGone, SourceIll, Unusable

FIELDS = {"external_id": "/id", "message": "/text"}
RECORD: dict[str, Any] = {
    "id": 5,
    "text": "Please call me.",
    "state": "new",
    "customer": {"id": "c-1", "plan": "gold"},
    "labels": ["a", {"name": "b"}],
    "created": 1_767_323_045,
    "changed": "2026-02-03T06:05:06+02:00",
    "priority": 2,
    "vip": False,
    "note": None,
}
MAPPED: dict[str, Any] = {
    "fields": {
        **FIELDS, "status": "/state", "customer_id": "/customer/id", "tags": "/labels", "created_at": "/created",
    },
    "changed_at": "/changed",
    "status_map": {"new": "open"},
    "paging": {"style": "link"},
}  # fmt: skip


@pytest.fixture
def rest(make: Any) -> Any:
    def _rest(page_size: int = 2, base_url: str = "https://api.example/v1", **config: Any) -> Connector:
        settings = {"fields": FIELDS, "records": "/data", "paging": {"style": "page"}, **config}
        connector: Connector = make("rest", base_url, page_size, settings)
        return connector

    return _rest


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": "x"} for number in range(count)]


def walk(connector: Connector, answers: list[Any], headers: dict[str, str] | None = None) -> list[str]:
    """Return the URLs that are asked while *answers* come."""
    asked = [connector.first(None).url]
    for answer in answers:
        following = connector.page(asked[-1], 200, headers or {}, orjson.dumps(answer)).next
        if following is None:
            break
        asked.append(following)
    return [url.removeprefix("https://api.example/v1") for url in asked]


def test_pages_are_numbered_until_one_is_empty(rest: Any) -> None:
    connector = rest(path="/tickets", query={"open": True, "team": 7})

    asked = walk(connector, [{"data": records(2)}, {"data": records(1)}, {"data": []}])

    assert asked == [f"/tickets?open=true&team=7&per_page=2&page={number}" for number in (1, 2, 3)]


def test_a_page_that_is_not_full_is_the_last_only_where_that_is_said(rest: Any) -> None:
    connector = rest(
        paging={"style": "page", "parameter": "p", "first": 0, "size_parameter": None, "ends": "short"}
    )

    assert walk(connector, [{"data": records(2)}, {"data": records(1)}]) == ["?p=0", "?p=1"]


def test_pages_end_with_the_total_where_that_is_said(rest: Any) -> None:
    connector = rest(paging={"style": "page", "total": "/count", "ends": "total"})
    five = [{"data": records(2), "count": 5}, {"data": records(2), "count": 5}, {"data": records(1), "count": 5}]

    assert len(walk(connector, five)) == 3
    with pytest.raises(SourceIll):
        walk(connector, [{"data": records(2)}])


def test_offsets_go_on_by_what_was_there_so_that_a_smaller_page_loses_nothing(rest: Any) -> None:
    connector = rest(page_size=100, paging={"style": "offset", "first": 1, "total": "/count"})

    asked = walk(connector, [{"data": records(40), "count": 70}, {"data": records(30), "count": 70}, {"data": []}])

    assert asked == ["?limit=100&offset=1", "?limit=100&offset=41", "?limit=100&offset=71"]


def test_a_total_that_shrinks_does_not_end_a_list_that_goes_on(rest: Any) -> None:
    connector = rest(paging={"style": "offset", "total": "/count"})

    assert len(walk(connector, [{"data": records(2), "count": 2}, {"data": records(1), "count": 0}])) == 3


def test_a_cursor_goes_into_its_parameter(rest: Any) -> None:
    connector = rest(
        paging={"style": "cursor", "next": "/meta/next", "parameter": "after", "size_parameter": "size"}
    )

    asked = walk(
        connector,
        [
            {"data": records(1), "meta": {"next": "a b"}},
            {"data": [], "meta": {"next": 7}},
            {"data": records(1), "meta": {"next": ""}},
        ],
    )

    assert asked == ["?size=2", "?size=2&after=a+b", "?size=2&after=7"]
    assert connector.is_stable


def test_a_cursor_that_is_a_url_is_followed_on_the_same_host_only(rest: Any) -> None:
    connector = rest(paging={"style": "cursor", "next": "/next"})

    assert walk(connector, [{"data": [], "next": "/v1/x?c=1"}, {"data": [], "next": None}]) == ["", "/x?c=1"]
    for elsewhere in ("https://evil.example/", 7, {"href": "/"}):
        with pytest.raises(AnswerRefused):
            walk(connector, [{"data": [], "next": elsewhere}])


def test_a_cursor_ends_where_the_answer_says_that_there_is_no_more(rest: Any) -> None:
    connector = rest(paging={"style": "cursor", "next": "/next", "parameter": "c", "more": "/has_more"})

    assert len(walk(connector, [{"data": [], "next": "a", "has_more": True}])) == 2
    assert len(walk(connector, [{"data": [], "next": "a", "has_more": False}])) == 1
    for said in ({"has_more": "false"}, {}):
        with pytest.raises(SourceIll):
            walk(connector, [{"data": [], "next": "a", **said}])


@pytest.mark.parametrize(
    "answer",
    [{}, {"meta": {}}, {"meta": []}, {"meta": "x"}, {"next": None}, {"error": "no", "meta": {"prev": None}}],
)
@pytest.mark.parametrize("parameter", [None, "after"])
def test_an_answer_that_says_nothing_of_a_next_page_does_not_pass_for_the_end(
    rest: Any, parameter: str | None, answer: dict[str, Any]
) -> None:
    connector = rest(paging={"style": "cursor", "next": "/meta/next", "parameter": parameter})

    with pytest.raises(SourceIll, match="next page"):
        walk(connector, [{"data": records(1), **answer}])


@pytest.mark.parametrize("meta", [None, False, {"next": None}, {"next": ""}, {"next": False}])
def test_a_null_where_the_next_page_or_what_holds_it_stands_is_the_end(rest: Any, meta: Any) -> None:
    connector = rest(paging={"style": "cursor", "next": "/meta/next", "parameter": "after"})

    assert len(walk(connector, [{"data": [], "meta": meta}])) == 1


def test_a_missing_next_page_is_the_end_where_that_is_said(rest: Any) -> None:
    connector = rest(paging={"style": "cursor", "next": "/meta/next", "parameter": "after", "ends": "missing"})

    assert walk(connector, [{"data": [], "meta": {"next": 2}}, {"data": []}]) == ["", "?after=2"]


def test_more_pages_without_a_cursor_are_no_end(rest: Any) -> None:
    paging = {"style": "cursor", "next": "/next", "parameter": "after", "more": "/more"}
    connector = rest(paging={**paging, "ends": "missing"})

    assert len(walk(connector, [{"data": [], "more": False}])) == 1
    for said in ({}, {"next": None}, {"next": ""}):
        with pytest.raises(SourceIll, match="not which"):
            walk(connector, [{"data": [], "more": True, **said}])


def test_links_are_followed_where_the_list_is_the_answer_itself(rest: Any) -> None:
    connector = rest(records="", paging={"style": "link"})

    asked = walk(connector, [[RECORD]], {"link": "</v1?page=2>; rel=next"})

    assert asked == ["?per_page=2", "?page=2"]


@pytest.mark.parametrize("answer", [{"error": "no"}, {"data": {}}, {"data": None}, [], "x", None, 1])
def test_an_answer_of_another_shape_is_no_page(rest: Any, answer: Any) -> None:
    with pytest.raises(SourceIll, match="/data"):
        rest().page("https://api.example/v1?page=1", 200, {}, orjson.dumps(answer))


def test_a_page_that_is_not_there_does_not_pass_for_the_end(rest: Any) -> None:
    with pytest.raises(SourceGone):
        rest().page("https://api.example/v1?page=9", 404, {}, b"{}")


@pytest.mark.parametrize("page", ["x", "-1", "٣", "9" * 5_000, ""])
def test_an_address_with_a_page_that_is_no_number_begins_anew(rest: Any, page: str) -> None:
    following = (
        rest().page(f"https://api.example/v1?page={page}", 200, {}, orjson.dumps({"data": records(1)})).next
    )

    assert following == "https://api.example/v1?page=2"


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ({"parameter": "after"}, "after=2026-02-01T08%3A30%3A00Z"),
        ({"parameter": "after", "format": "unix"}, "after=1769934600"),
    ],
)
def test_what_has_changed_is_asked_for_as_the_api_wants_it(rest: Any, since: dict[str, str], text: str) -> None:
    at = datetime(2026, 2, 1, 10, 30, 0, 5, tzinfo=timezone(timedelta(hours=2)))

    connector = rest(since=since)

    assert text in connector.first(at).url
    assert "after" not in connector.first(None).url
    assert connector.has_since
    assert not rest().has_since
    assert "2026" not in rest().first(at).url


def test_a_record_becomes_a_ticket_as_the_settings_say(rest: Any) -> None:
    connector = rest(**MAPPED)

    assert connector.ticket(RECORD) == {
        "external_id": "5",
        "message": "Please call me.",
        "customer_id": "c-1",
        "status": "open",
        "tags": ["a", "b"],
        "created_at": "2026-01-02T03:04:05.000Z",
        "attributes": {"priority": 2, "vip": False},
    }
    assert connector.external_id(RECORD) == "5"
    assert connector.changed_at(RECORD) == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_a_number_too_large_to_be_stored_is_kept_as_text(rest: Any) -> None:
    ticket = rest(**MAPPED).ticket({**RECORD, "priority": 2**64 - 1, "customer": {"id": 2**63}})

    assert (ticket["attributes"]["priority"], ticket["customer_id"]) == (f"{2**64 - 1}", f"{2**63}")


def test_attributes_can_be_chosen_from_anywhere(rest: Any) -> None:
    chosen = rest(**MAPPED, attributes={"plan": "/customer/plan", "first": "/labels/0", "none": "/labels/x/y"})

    assert chosen.ticket(RECORD)["attributes"] == {"plan": "gold", "first": "a"}


def test_of_many_attributes_the_same_fifty_are_kept_in_whatever_order_they_come(rest: Any) -> None:
    connector = rest()
    many = {f"a{number:03}": number for number in range(80)}
    backwards = dict(reversed(list(many.items())))

    kept = connector.ticket({**RECORD, **many})["attributes"]

    assert len(kept) == 50
    assert kept == connector.ticket({**backwards, **RECORD})["attributes"]


def test_tags_may_be_one_text(rest: Any) -> None:
    assert rest(**MAPPED).ticket({**RECORD, "labels": "a; b"})["tags"] == "a; b"


def test_a_status_that_nobody_mapped_stays_as_it_is(rest: Any) -> None:
    assert rest(**MAPPED).ticket({**RECORD, "state": "strange"})["status"] == "strange"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "external_id"),
        ({"id": ""}, "external_id"),
        ({"id": True}, "external_id"),
        ({"id": 1.0}, "external_id"),
        ({"id": "x" * 256}, "external_id"),
        ({"text": None}, "message"),
        ({"text": "\n"}, "message"),
        ({"text": 7}, "message"),
        ({"text": ["a"]}, "message"),
        ({"state": {}}, "status"),
        ({"created": []}, "created_at"),
    ],
)
def test_a_record_that_can_be_no_ticket_says_which_field_is_wrong(
    rest: Any, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Unusable) as raised:
        rest(**MAPPED).ticket({**RECORD, **change})

    assert raised.value.field == field


def test_neither_when_it_changed_nor_what_is_not_mapped_is_of_the_essence(rest: Any) -> None:
    connector = rest(**MAPPED)
    same = {**RECORD, "changed": "2026-03-01T00:00:00Z", "customer": {"id": "c-1", "plan": "tin"}, "note": None}

    assert connector.essence(same) == connector.essence(RECORD)
    for change in (
        {"text": "x"},
        {"state": "old"},
        {"labels": []},
        {"priority": 3},
        {"extra": "x"},
        {"customer": {}},
    ):
        assert connector.essence({**RECORD, **change}) != connector.essence(RECORD)


def test_the_same_record_under_other_settings_has_another_essence(rest: Any) -> None:
    as_it_was, other = rest(**MAPPED), rest(**{**MAPPED, "status_map": {"new": "pending"}})

    assert as_it_was.essence(RECORD) != other.essence(RECORD)
    assert as_it_was.essence(RECORD) == rest(**MAPPED, query={"x": 1}).essence(RECORD)


def test_credentials_are_sent_as_the_settings_say(rest: Any) -> None:
    secrets = {"token": "t", "username": "ana", "password": "pass"}

    assert rest().secret_headers(secrets) == {}
    assert rest(auth={"style": "bearer"}).secret_headers(secrets) == {"Authorization": "Bearer t"}
    assert rest(auth={"style": "header", "header": "X-Key"}).secret_headers(secrets) == {"X-Key": "t"}
    basic = rest(auth={"style": "basic"}).secret_headers(secrets)["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"ana:pass"
    with pytest.raises(CredentialsRefused):
        rest(auth={"style": "bearer"}).secret_headers({})


@pytest.mark.parametrize(
    ("auth", "credentials", "where"),
    [
        (None, {}, []),
        (None, {"token": "t"}, ["/token"]),
        ({"style": "bearer"}, {"token": "t"}, []),
        ({"style": "bearer"}, {}, [""]),
        ({"style": "bearer"}, {"token": "t", "username": "u"}, [""]),
        ({"style": "basic"}, {"username": "ü", "password": "ü"}, []),
        ({"style": "basic"}, {"username": "u"}, [""]),
        ({"style": ["x"]}, {}, []),
        ("x", {}, []),
        ({"style": "bearer"}, {"token": "t\r\nX: y"}, ["/token"]),
        ({"style": "bearer"}, {"tokn": "t"}, ["/tokn"]),
    ],
)
def test_credentials_have_to_be_those_that_are_sent(
    rest: Any, auth: Any, credentials: dict[str, str], where: list[str]
) -> None:
    assert [pointer for pointer, _ in rest().check_credentials(credentials, {"auth": auth})] == where
