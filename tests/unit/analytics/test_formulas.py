"""No text that anybody wrote can be run by a spreadsheet, and every other text stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.analytics.reporting.formulas import harmless


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://evil.example")',
        "+1+1",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "  =1+1",
        "\t=1+1",
        "\r\n=1+1",
        "\ttab",
        "\rreturn",
        "\nline",
        "\ufeff=1",
        "\u200b@A1",
        "\u202e=1",
        "\x00=1",
        "\u00a0=1",
        "\uff1d1",
        "\uff0b1+1",
        "\uff0d1+1",
        "\uff20A1",
        "\ufe66A1",
        "-",
        "+",
        "--5",
        "-5 apples",
        "-5\n",
        "-5-5",
    ],
)
def test_what_could_be_run_is_text(text: str) -> None:
    assert harmless(text)[0] == "'"
    assert harmless(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("x;=1+1;y", "x;'=1+1;y"), ("a\t@b", "a\t'@b"), ("=1; +2", "'=1; '+2"), ("a;b; c", "a;b; c")],
)
def test_no_cell_begins_within_for_who_parts_them_otherwise(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize("text", ["", "a", "a=b", "1+1", "-5", "+4.5", "-1,5", "100 %", "'=1", '"=1"', "1=1", "é"])
def test_what_can_not_be_run_stays(text: str) -> None:
    assert harmless(text) == text


@given(st.text())
def test_nothing_that_is_left_begins_with_a_sign(text: str) -> None:
    shown = harmless(text).strip()

    assert shown[:1] not in {"=", "@"}
    assert harmless(text).replace("'", "") == text.replace("'", "")
