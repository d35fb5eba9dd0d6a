"""The name of a download: whatever it holds, one header of printable ASCII that says nothing else."""

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from common.storage.disposition import NAME_MAX_CHARS, content_disposition

NAMES = st.text(max_size=400) | st.text(alphabet='\r\n"\\;%=*\x00/\u202e\ud800é a.', max_size=40)


@pytest.mark.parametrize(
    ("filename", "value"),
    [
        ("report.csv", 'attachment; filename="report.csv"'),
        ("two words.csv", 'attachment; filename="two words.csv"'),
        ("Müller.pdf", "attachment; filename=\"M_ller.pdf\"; filename*=UTF-8''M%C3%BCller.pdf"),
        ('a"b.csv', "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%22b.csv"),
        ("100%.csv", "attachment; filename=\"100_.csv\"; filename*=UTF-8''100%25.csv"),
        (
            "a\r\nSet-Cookie: x=1",
            "attachment; filename=\"aSet-Cookie_ x=1\"; filename*=UTF-8''aSet-Cookie%3A%20x%3D1",
        ),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
        ("gpj\u202eexe.scr", 'attachment; filename="gpjexe.scr"'),
        ("", 'attachment; filename="file"'),
        (" .. ", 'attachment; filename="file"'),
    ],
)
def test_a_name_is_told_safely(filename: str, value: str) -> None:
    assert content_disposition(filename) == value


def test_what_may_be_shown_in_the_browser_is_inline() -> None:
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'


@given(NAMES)
@example('"; filename="evil.exe')
@example("\ud800")
def test_no_name_adds_to_the_header_or_breaks_it(filename: str) -> None:
    value = content_disposition(filename)

    kind, parameters = parse_options_header(value)
    assert value.isascii()
    assert value.isprintable()
    assert kind == "attachment"
    assert set(parameters) == {"filename"}
    assert not set(parameters["filename"]) & set("\r\n/\\\0")
    assert 1 <= len(parameters["filename"]) <= NAME_MAX_CHARS


@given(NAMES)
def test_the_name_in_full_is_what_a_browser_reads(filename: str) -> None:
    value = content_disposition(filename)

    plain, _, in_full = value.partition("; filename*=UTF-8''")
    name = parse_options_header(value)[1]["filename"]
    assert name == (unquote(in_full) or plain.removeprefix('attachment; filename="').removesuffix('"'))


@given(st.text(min_size=300, max_size=500, alphabet="aé."))
def test_a_long_name_keeps_its_ending(stem: str) -> None:
    name = parse_options_header(content_disposition(f"a{stem}b.xlsx"))[1]["filename"]

    assert name.endswith(".xlsx")
