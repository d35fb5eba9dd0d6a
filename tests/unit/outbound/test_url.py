"""How an address is written: one strict reading, which every other reader shares."""

from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import AddressRefused
from common.outbound.url import DEFAULT_PORTS, URL_CHARS_MAX, Url, join, read_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example/a/b?c=d&e", Url("https", "api.example", 443, "/a/b?c=d&e")),
        ("HTTPS://API.Example:8443", Url("https", "api.example", 8443, "/")),
        ("https://api.example?page=2", Url("https", "api.example", 443, "/?page=2")),
        ("https://api.example:443/%00%0d%0a", Url("https", "api.example", 443, "/%00%0d%0a")),
        ("https://api.example/a:b@c//d/../e?f[]=g|h", Url("https", "api.example", 443, "/a:b@c//d/../e?f[]=g|h")),
        ("http://192.0.2.1:80/", Url("http", "192.0.2.1", 80, "/")),
        ("https://[2001:DB8:0::1]:8443/x", Url("https", "2001:db8::1", 8443, "/x")),
        ("https://xn--mnchen-3ya.example/", Url("https", "xn--mnchen-3ya.example", 443, "/")),
    ],
)
def test_an_address_is_taken_apart(text: str, url: Url) -> None:
    assert read_url(text) == url


def test_an_address_is_put_together_again_with_its_own_port_only() -> None:
    assert str(read_url("HTTPS://Api.Example:443/a")) == "https://api.example/a"
    assert str(read_url("https://[2001:db8::1]:8443?a")) == "https://[2001:db8::1]:8443/?a"
    assert read_url("http://api.example:443/").authority == "api.example:443"


@pytest.mark.parametrize(
    "scheme", ["file", "gopher", "dict", "ftp", "data", "jar", "ldap", "javascript", "ws", "unix", "https+unix"]
)
def test_another_scheme_is_refused(scheme: str) -> None:
    with pytest.raises(AddressRefused, match="https://"):
        read_url(f"{scheme}://api.example/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https",
        "https:",
        "https:/api.example/",
        "https:api.example",
        "https:///api.example/",
        "//api.example/",
        "/etc/passwd",
        "file:///etc/passwd",
        "data:text/plain,x",
        "jar:https://api.example/a.jar!/",
        "api.example",
        "127.0.0.1:80",
    ],
)
def test_what_is_no_whole_address_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        read_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://good@evil.example/",
        "https://good:word@evil.example/",
        "https://@evil.example/",
        "https://good.example:443@evil.example/",
        "https://evil.example#good.example",
        "https://evil.example/#@good.example",
        "https://good.example\\@evil.example/",
        "https:\\\\evil.example/",
        "https://good.example\\.evil.example/",
        "https://good.example%00.evil.example/",
        "https://good.example%2eevil.example/",
        "https://good.example\x00.evil.example/",
        "https://good.example\r\nHost: evil.example/",
        "https://good.example/\r\nX: y",
        "https://good.example/a b",
        "https://good.example/\t",
        " https://good.example/",
        "https://good.example/\n",
        "\thttps://good.example/",
        "htt\tps://good.example/",
        "https://good.example/\x7f",
        "https://good.example/\xa0",
    ],
)
def test_what_two_readers_take_for_two_addresses_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        read_url(text)


@pytest.mark.parametrize(
    "host",
    [
        "good.example.",
        "localhost.",
        ".good.example",
        "good..example",
        "good.example\u3002evil.example",  # an ideographic full stop, which IDNA takes for a dot
        "\uff11\uff12\uff17.0.0.1",  # full-width digits
        "\u2460\u2461\u2466.0.0.1",  # circled digits, which normalisation turns into 127
        "g\u00f6od.example",
        "go\u200bod.example",
        "-good.example",
        "good-.example",
        "a" * 64 + ".example",
        ".".join(["a" * 63] * 4) + ".example",
        "good,evil.example",
        "good*.example",
        "[good.example]",
        "[::1",
        "::1]",
        "[::1]x",
        "::1",
        "[]",
        "[1.2.3.4]",
        "[v1.a]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[fe80::1%251]",
        "[::ffff:127.0.0.1",
        "[1:2:3:4:5:6:7:8:9]",
    ],
)
def test_an_odd_host_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        read_url(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f.1",
        "0x7f000001",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "0177.0.0.01",
        "127.0.0.01",
        "127.0.0.0x1",
        "00000127.0.0.1",
        "127.0.0.1.",
        "1.1",
        "256.1.1.1",
        "1.1.1.1.1",
        "4294967296",
        "999999999999",
        "0",
        "0x",
        "api.example.0x7f",
        "api.example.1",
        "1e3.1",
    ],
)
def test_an_ipv4_address_has_one_form(host: str) -> None:
    with pytest.raises(AddressRefused):
        read_url(f"https://{host}/")


@pytest.mark.parametrize(
    "port", ["", "0", "00443", "0443", "65536", "99999", "443a", "-1", "+443", "4 43", "443:443", "\u0664"]
)
def test_an_odd_port_is_refused(port: str) -> None:
    with pytest.raises(AddressRefused):
        read_url(f"https://api.example:{port}/")


def test_a_longer_address_than_any_server_takes_is_refused() -> None:
    with pytest.raises(AddressRefused, match="8,192"):
        read_url("https://api.example/" + "a" * URL_CHARS_MAX)


@pytest.mark.parametrize(
    ("reference", "joined"),
    [
        ("/b?c", "https://api.example/b?c"),
        ("b", "https://api.example/a/b"),
        ("../b", "https://api.example/b"),
        ("?page=2", "https://api.example/a/x?page=2"),
        ("//other.example/b", "https://other.example/b"),
        ("http://other.example/", "http://other.example/"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ],
)
def test_a_reference_means_what_the_rfc_says(reference: str, joined: str) -> None:
    assert join(read_url("https://api.example/a/x?y"), reference) == joined


@pytest.mark.parametrize(
    "reference", ["\t//evil.example", "/\n/evil.example", "\\\\evil.example", "//[", "/a#b", "/\u00fc"]
)
def test_a_reference_that_readers_take_differently_is_refused(reference: str) -> None:
    with pytest.raises(AddressRefused):
        join(read_url("https://api.example/a"), reference)


@given(st.text(alphabet="ab1.:@/\\[]%#?x0-_~ \t\u3002\uff0e\uff11"), st.sampled_from(["", "https://", "http://a"]))
def test_no_other_reader_finds_another_host_in_what_is_taken(rest: str, start: str) -> None:
    try:
        url = read_url(start + rest)
    except AddressRefused:
        return

    assert urlsplit(start + rest).hostname == url.host.lower()
    assert (urlsplit(start + rest).port or DEFAULT_PORTS[url.scheme]) == url.port
    assert httpx.URL(start + rest).host == url.host
    assert read_url(str(url)) == url
