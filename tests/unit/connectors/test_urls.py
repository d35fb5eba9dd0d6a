"""The URLs that are asked, and that no answer leads elsewhere."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.connectors import urls
from common.errors import AnswerRefused

BASE = "https://api.example/v2"
ASKED = "https://api.example/v2/tickets?page=1"


@pytest.mark.parametrize(
    ("found", "url"),
    [
        ("https://api.example/v2/tickets?page=2", "https://api.example/v2/tickets?page=2"),
        ("https://API.EXAMPLE:443/x", "https://api.example/x"),
        ("//api.example/x", "https://api.example/x"),
        ("https:///x", "https://api.example/x"),
        ("/other?cursor=a%2Bb", "https://api.example/other?cursor=a%2Bb"),
        ("?page=2", "https://api.example/v2/tickets?page=2"),
        ("more", "https://api.example/v2/more"),
        ("http://api.example/v2/tickets?page=2", "https://api.example/v2/tickets?page=2"),
        ("https://api.example/x?q=ä b#top", "https://api.example/x?q=%C3%A4%20b"),
        ("https://api.example", "https://api.example/"),
        ("https://api.example/a\\b", "https://api.example/a%5Cb"),
        ("https://api.example/x?u=https://evil.example/", "https://api.example/x?u=https://evil.example/"),
    ],
)
def test_a_next_page_on_the_same_host_is_followed(found: str, url: str) -> None:
    assert urls.next_page(found, asked_url=ASKED, base_url=BASE) == url


@pytest.mark.parametrize(
    "found",
    [
        "https://evil.example/",
        "//evil.example/",
        "https://api.example.evil.example/",
        "https://api.example@evil.example/",
        "https://user@api.example/",
        "https://api.example\\@evil.example/",
        "https://api.example./",
        "https://api.example:8443/",
        "https://api.example:99999/",
        "https://api.example:x/",
        "https://[::1]/",
        "https://[/",
        "https://\uff41pi.example/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "ftp://api.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:,x",
        "https://api.example/\r\nHost: evil.example",
        "https://api.example/\x00",
        "https://api.example/\ud800",
        "https://api.example/" + "a" * 9_000,
        7,
        True,
        ["https://api.example/"],
        {"href": "https://api.example/"},
    ],
)
def test_a_next_page_anywhere_else_is_refused(found: object) -> None:
    with pytest.raises(AnswerRefused):
        urls.next_page(found, asked_url=ASKED, base_url=BASE)


def test_a_source_that_is_called_by_plain_http_on_a_port_stays_there() -> None:
    def following(found: str) -> str:
        return urls.next_page(found, asked_url="http://127.0.0.1:8099/a", base_url="http://127.0.0.1:8099")

    assert following("/b") == "http://127.0.0.1:8099/b"
    for elsewhere in ("http://127.0.0.1/b", "http://127.0.0.1:6379/b", "https://127.0.0.1/b"):
        with pytest.raises(AnswerRefused):
            following(elsewhere)


@given(st.text(max_size=60))
def test_whatever_is_found_the_host_is_the_sources(found: str) -> None:
    try:
        url = urls.next_page(found, asked_url=ASKED, base_url=BASE)
    except AnswerRefused:
        return

    assert (urlsplit(url).scheme, urlsplit(url).netloc) == ("https", "api.example")
    assert url.isascii()
    assert url.isprintable()


def test_a_url_is_made_of_base_path_and_query() -> None:
    assert urls.at("https://a.example/v1/?k=1", "/t", [("q", "a b&c"), ("n", 2)]) == (
        "https://a.example/v1/t?k=1&q=a+b%26c&n=2"
    )
    assert urls.at("https://a.example", "") == "https://a.example/"


def test_a_parameter_is_replaced_and_the_others_stay() -> None:
    url = urls.with_parameter("https://a.example/t?page=1&q=x&page=2&empty=", "page", 3)

    assert url == "https://a.example/t?q=x&empty=&page=3"
    assert urls.parameter(url, "page") == "3"
    assert urls.parameter(url, "other") is None
