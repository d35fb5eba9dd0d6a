"""The headers of a call: the maker's own, but for those that steer the connection."""

import pytest

from common.errors import AddressRefused
from common.outbound.sent_headers import HEADER_CHARS_MAX, header_lines
from common.outbound.url import read_url

URL = read_url("https://api.example/")
SECRET = "hush-hush"


def test_a_call_says_whom_it_wants_and_who_it_is() -> None:
    lines = dict(header_lines(read_url("https://[2606:4700:4700::1111]:8443/"), {"X-Key": "a b"}))

    assert lines == {
        b"host": b"[2606:4700:4700::1111]:8443",
        b"accept-encoding": b"gzip, deflate",
        b"user-agent": b"fairway",
        b"accept": b"application/json, */*;q=0.5",
        b"x-key": b"a b",
    }


def test_a_header_is_said_once_and_the_makers_word_counts() -> None:
    lines = header_lines(URL, {"ACCEPT": "text/plain", "User-Agent": "probe", "x-a": "1", "X-A": "2"})

    said = [line for line in lines if line[0] in {b"accept", b"user-agent", b"x-a"}]
    assert said == [(b"user-agent", b"probe"), (b"accept", b"text/plain"), (b"x-a", b"2")]


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "HOST",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Keep-Alive",
        "Accept-Encoding",
        "Proxy-Authorization",
        "proxy-connection",
        "",
        " host",
        "host ",
        "host:",
        "a b",
        "a\r\nb",
        "a\x00",
        "\u00fc",
        "x" * 101,
    ],
)
def test_a_header_that_steers_the_connection_or_is_none_is_refused(name: str) -> None:
    with pytest.raises(AddressRefused):
        header_lines(URL, {name: "x"})


@pytest.mark.parametrize(
    "value",
    [
        f"{SECRET}\r\nHost: evil.example",
        f"{SECRET}\n",
        f"{SECRET}\x00",
        f"{SECRET}\u00fc",
        f" {SECRET}",
        f"{SECRET} ",
        SECRET + "x" * HEADER_CHARS_MAX,
    ],
)
def test_a_value_that_no_header_may_have_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(AddressRefused, match="authorization") as refused:
        header_lines(URL, {"Authorization": value})

    assert SECRET not in repr(refused.value)
