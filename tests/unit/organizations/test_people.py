"""E-mail addresses: one form for each, and nothing that only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.organizations.person import EMAIL_MAX_CHARS, normal_email


@pytest.mark.parametrize(
    "typed",
    [
        *("ada@acme.example", "ADA@ACME.example", "Ada@Acme.Example"),
        *("\uff21da@acme.example".replace("\uff21", "A"), "ad\u0061@acme.example"),
    ],
)
def test_case_makes_no_other_address(typed: str) -> None:
    assert normal_email(typed) == "ada@acme.example"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ren\u00e9@a.example", "rene\u0301@a.example"),
        ("REN\u00c9@a.example", "rene\u0301@a.example"),
        ("stra\u00dfe@a.example", "STRASSE@a.example"),
        ("\u0130@a.example", "i\u0307@a.example"),
        ("\u1e9b\u0323@a.example", "\u1e69@a.example"),
        ("\u03b1\u0345@a.example", "\u1fb3@a.example"),
    ],
)
def test_how_an_accent_is_composed_makes_no_other_address(one: str, other: str) -> None:
    assert normal_email(one) == normal_email(other)


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "a@", "@b", "a", "a@b@c", "a b@c", " a@b", "a@b ", "a@b\n", "a@\tb", "a\x00@b", "a\x7f@b"),
        *("a\u200b@b", "a@b\u202e", "a\ufeff@b", "a\u00ad@b", "\ud800@b", "a@b\u2028", "a\u00a0@b", "a\ue000@b"),
        *("a" * 65 + "@b", "a@" + "b" * 190, "a@" + "b" * EMAIL_MAX_CHARS, "a" * 1_000_000),
        *("\ufb03" * 30 + "@b", "a@" + "\ufb03" * 100),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        normal_email(text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_typed_the_form_is_stable_bounded_and_can_be_stored(before: str, after: str) -> None:
    try:
        email = normal_email(f"{before}@{after}")
    except ValueError:
        return

    assert normal_email(email) == email
    assert normal_email(email.upper().lower()) is not None
    assert len(email.encode()) <= 4 * EMAIL_MAX_CHARS
    assert email.isprintable()
