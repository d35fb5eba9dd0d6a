"""What a secret may be, and that no sentence repeats one."""

from typing import Any

import pytest

from common.connectors.credentials import CredentialField, basic, needed, wrong_with
from common.errors import CredentialsRefused

FIELDS = {
    "token": CredentialField("A token.", required=True, max_chars=20),
    "name": CredentialField("A name.", required=False, only_ascii=False),
}


def test_what_fits_is_taken() -> None:
    assert wrong_with({"token": "a b~!", "name": "José"}, FIELDS) == []
    assert wrong_with({"token": "x"}, FIELDS) == []


@pytest.mark.parametrize(
    "secret",
    [
        "", " hunter2", "hunter2\n", "hunt\r\ner2: x", "hunt\x00er2", "hunt\x7fer2", "hunt\x85er2",
        "hunt\ud800er2", "hünter2", "hunter2" * 5, 7, None, ["hunter2"], {"a": "hunter2"}, True,
    ],
)  # fmt: skip
def test_what_no_header_could_carry_is_refused_without_repeating_it(secret: Any) -> None:
    faults = wrong_with({"token": secret}, FIELDS)

    assert [where for where, _ in faults] == ["/token"]
    assert "er2" not in str(faults)


def test_what_is_missing_or_not_known_is_named() -> None:
    assert wrong_with({"tok/en": "x"}, FIELDS) == [
        ("/token", "Is needed."),
        ("/tok~1en", "There is no such credential; it takes: token, name."),
    ]


def test_who_needs_no_secret_says_so() -> None:
    assert wrong_with({"token": "x"}, {}) == [("/token", "There is no such credential; it takes: none.")]


def test_basic_is_base64_of_utf_8() -> None:
    assert basic("José", "p:w") == {"Authorization": "Basic Sm9zw6k6cDp3"}


def test_a_call_without_its_secret_is_not_made() -> None:
    for credentials in ({}, {"token": ""}):
        with pytest.raises(CredentialsRefused, match="token"):
            needed(credentials, "token")
