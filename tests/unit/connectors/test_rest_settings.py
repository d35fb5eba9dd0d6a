"""What may be said about an API, and that whoever says it wrongly is told where."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.connectors.connector import Endpoint
from common.connectors.rest import Rest
from common.connectors.rest_settings import RestSettings
from common.errors import SourceRefused

LEAST: dict[str, Any] = {
    "fields": {"external_id": "/id", "message": "/text"},
    "paging": {"style": "page"},
}
MOST: dict[str, Any] = {
    "path": "/v1/tickets",
    "query": {"expand": "customer", "archived": True, "team": 7},
    "records": "/data/items",
    "fields": {
        "external_id": "/id",
        "message": "/body/text",
        "customer_id": "/customer/id",
        "channel": "/channel",
        "subject": "/subject",
        "status": "/state",
        "tags": "/labels",
        "created_at": "/created",
    },
    "attributes": {"plan": "/customer/plan", "first label": "/labels/0"},
    "changed_at": "/changed",
    "paging": {
        "style": "cursor", "next": "/meta/next", "parameter": "cursor", "size_parameter": "limit",
        "more": "/meta/more", "total": "/meta/total",
    },
    "since": {"parameter": "changed_after", "format": "unix"},
    "status_map": {"new": "open", "done": "resolved"},
    "auth": {"style": "header", "header": "X-Api-Key"},
}  # fmt: skip


def test_the_least_and_the_most_that_can_be_said_is_taken() -> None:
    assert Rest.check(LEAST) == []
    assert Rest.check(MOST) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"path": "tickets"}, "/path"),
        ({"path": "/a\nb"}, "/path"),
        ({"path": "/ä"}, "/path"),
        ({"path": "/" + "a" * 1_001}, "/path"),
        ({"path": "/a?b=c"}, ""),
        ({"path": "/a#b"}, ""),
        ({"path": "/a\\b"}, ""),
        ({"path": 7}, "/path"),
        ({"query": {"api_key": "x"}}, "/query/api_key"),
        ({"query": {"Token": "x"}}, "/query/Token"),
        ({"query": {"a": "b\r\nc"}}, "/query/a"),
        ({"query": {"a": ["b"]}}, "/query/a"),
        ({"query": {"a": 1.5}}, "/query/a"),
        ({"query": {"a b": "x"}}, "/query/a b"),
        ({"query": {"a/b": None}}, "/query/a~1b"),
        ({"query": {str(number): 1 for number in range(31)}}, "/query"),
        ({"records": "data"}, "/records"),
        ({"records": "/a~2"}, "/records"),
        ({"records": None}, "/records"),
        ({"fields": {"external_id": "/id"}}, "/fields/message"),
        ({"fields": {**LEAST["fields"], "urgency": "/u"}}, "/fields/urgency"),
        ({"fields": {**LEAST["fields"], "subject": "/" + "s" * 300}}, "/fields/subject"),
        ({"attributes": {"a": "b"}}, "/attributes/a"),
        ({"attributes": {str(number): "/a" for number in range(51)}}, "/attributes"),
        ({"paging": {}}, "/paging"),
        ({"paging": {"style": "random"}}, "/paging"),
        ({"paging": "page"}, "/paging"),
        ({"paging": {"style": "page", "first": 2}}, "/paging/first"),
        ({"paging": {"style": "page", "first": "1"}}, "/paging/first"),
        ({"paging": {"style": "page", "parameter": ""}}, "/paging/parameter"),
        ({"paging": {"style": "page", "next": "/next"}}, "/paging/next"),
        ({"paging": {"style": "page", "ends": "never"}}, "/paging/ends"),
        ({"paging": {"style": "page", "ends": "total"}}, ""),
        ({"paging": {"style": "cursor"}}, "/paging/next"),
        ({"paging": {"style": "cursor", "next": "/next", "ends": "empty"}}, "/paging/ends"),
        ({"since": {}}, "/since/parameter"),
        ({"since": {"parameter": "s", "format": "words"}}, "/since/format"),
        ({"status_map": {"new": "fresh"}}, "/status_map/new"),
        ({"auth": {"style": "header"}}, "/auth"),
        ({"auth": {"style": "bearer", "header": "X-Key"}}, "/auth"),
        ({"auth": {"style": "header", "header": "Host"}}, "/auth/header"),
        ({"auth": {"style": "header", "header": "Proxy-Authorization"}}, "/auth/header"),
        ({"auth": {"style": "header", "header": "X-Key: x\r\nY"}}, "/auth/header"),
        ({"auth": {"style": "bearer", "token": "secret"}}, "/auth/token"),
        ({"headers": {"Authorization": "x"}}, "/headers"),
    ],
)
def test_what_is_wrong_is_pointed_at(change: dict[str, Any], where: str) -> None:
    faults = Rest.check({**LEAST, **change})

    assert [pointer for pointer, _ in faults] == [where]


@pytest.mark.parametrize(
    "name",
    [
        "client_secret", "secretKey", "x-amz-security-token", "accessToken", "tokens", "X-API-Key", "apiKeyId",
        "my.api.key",
        "user_password", "passwd", "old-passwd", "X-Amz-Credential", "credentials", "X-Amz-Signature", "sig",
        "url_sig",
        "private_token", "AUTH", "key", "authorization", "access_key", "page_token_secret",
    ],
)  # fmt: skip
def test_a_name_that_says_secret_in_any_way_belongs_to_the_credentials(name: str) -> None:
    faults = Rest.check({**LEAST, "query": {name: "x"}})

    assert faults == [(f"/query/{name}", "Looks like a secret, and those go into the credentials.")]


@pytest.mark.parametrize(
    "name",
    [
        "page_token", "pageToken", "next-token", "nextToken", "continuation_token", "cursor", "after_cursor",
        "design",
        "signed_by", "sort_key", "author", "keyword", "pass", "significant",
    ],
)  # fmt: skip
def test_a_harmless_name_that_resembles_a_secrets_is_taken(name: str) -> None:
    assert Rest.check({**LEAST, "query": {name: "x"}}) == []


def test_several_faults_are_named_at_once_each_in_a_sentence() -> None:
    faults = Rest.check({"records": "x", "fields": {}, "paging": {"style": "x" * 5_000}, "more": 1})

    assert faults == [
        ("/records", "Must be a JSON pointer like /data/id, or empty for the whole."),
        ("/fields/external_id", "Is needed."),
        ("/fields/message", "Is needed."),
        ("/paging", "Must have one of the styles page, offset, cursor and link."),
        ("/more", "There is no such setting."),
    ]


def test_a_hundred_faults_are_not_all_told() -> None:
    assert len(Rest.check({**LEAST, **{f"x{number}": 1 for number in range(100)}})) == 20


@pytest.mark.parametrize("config", [None, [], "x", 7, {"a": 2**70}, {"a": {1, 2}}, {"a": "\ud800"}])
def test_what_is_no_object_of_json_is_refused(config: Any) -> None:
    assert Rest.check(config)


def test_a_source_whose_settings_are_no_longer_taken_is_refused_for_good() -> None:
    with pytest.raises(SourceRefused, match="settings"):
        Rest(Endpoint("https://api.example", 100, {"fields": {}}))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted(RestSettings.model_fields))


@given(st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=5))
def test_whatever_is_said_is_taken_or_pointed_at(config: dict[str, Any]) -> None:
    faults = Rest.check({**LEAST, **config})

    assert all(pointer == "" or pointer.startswith("/") for pointer, _ in faults)
    assert all(sentence.endswith(".") and len(sentence) < 300 for _, sentence in faults)
    if not faults:
        Rest(Endpoint("https://api.example", 100, {**LEAST, **config}))
