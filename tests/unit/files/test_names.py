"""What a file may be called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.files.names import clean_name, last_part


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        "reports/may 2026.pdf",
        ".htaccess",
        "CON",
        "naïve.csv",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
        "a" * 255,
    ],
)
def test_a_plain_name_stays(name: str) -> None:
    assert clean_name(name) == name


def test_a_name_is_composed() -> None:
    assert clean_name("e\u0301.txt") == "é.txt"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../../etc/passwd",
        "a/../b",
        "a//b",
        "./a",
        "a/",
        "C:\\windows\\win.ini",
        "C:evil",
        "a\\b",
        "a\x00.png",
        "a\r\nSet-Cookie: x",
        "a\x1b[31m",
        "invoice\u202efdp.exe",
        "zero\u200bwidth",
        "\ud800",
        "x" * 256,
        "a/" * 501,
        "/".join("a" * 51),
    ],
)
def test_a_name_that_could_be_taken_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name"):
        clean_name(name)


@given(st.text(max_size=80))
def test_what_is_taken_is_no_way_out_and_stays_when_it_is_cleaned_again(text: str) -> None:
    try:
        name = clean_name(text)
    except ValueError:
        return

    assert clean_name(name) == name
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert last_part(name)
    assert "/" not in last_part(name)
