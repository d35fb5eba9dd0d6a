"""Passwords: what can be one, and how many are hashed at once."""

import threading
import time

import pytest

from common.errors import Unavailable
from common.organizations import passwords
from common.organizations.passwords import MAX_CHARS, MIN_CHARS, hash_password, verify_password


def test_a_password_is_known_again_and_another_is_not() -> None:
    stored = hash_password("correct horse")

    assert verify_password(stored, "correct horse")
    assert not verify_password(stored, "correct horsf")
    assert not verify_password(stored, "correct horse ")
    assert "correct" not in stored
    assert stored.startswith("$argon2id$")


def test_one_password_is_never_stored_twice_alike() -> None:
    assert hash_password("correct horse") != hash_password("correct horse")


def test_an_accent_may_be_typed_as_one_character_or_as_two() -> None:
    assert verify_password(hash_password("caf\u00e9 au lait"), "cafe\u0301 au lait")


@pytest.mark.parametrize("password", ["", "a" * (MIN_CHARS - 1), "a" * (MAX_CHARS + 1), "\ud800" * 10])
def test_what_can_not_be_a_password_is_not_hashed(password: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (whichever sentence)
        hash_password(password)


@pytest.mark.parametrize("password", ["a" * (MAX_CHARS + 1), "\ud800"])
def test_what_can_not_be_a_password_is_not_compared(password: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (whichever sentence)
        verify_password(None, password)


@pytest.mark.parametrize(
    "password", ["a" * MIN_CHARS, "a" * MAX_CHARS, "\U0001f40e" * 8, "with\x00a zero byte", "   \t    "]
)
def test_every_other_text_can_be_one(password: str) -> None:
    stored = hash_password(password)

    assert verify_password(stored, password)
    assert not verify_password(stored, password[:-1] + "~")


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken", "$2b$12$abcdefghijklmnopqrstuv"])
def test_a_hash_that_can_not_be_read_lets_nobody_in(stored: str) -> None:
    assert not verify_password(stored, "plain")


def test_nobody_has_no_password_and_costs_as_much_as_somebody() -> None:
    stored = hash_password("correct horse")
    verify_password(None, "warm up")

    nobody, somebody = (min(_took_s(known) for _ in range(5)) for known in (None, stored))

    assert not verify_password(None, "correct horse")
    assert 0.5 < nobody / somebody < 2


def test_the_hash_of_nobody_is_as_dear_as_a_new_one() -> None:
    assert passwords._hash_of_nobody().split("$")[1:4] == hash_password("correct horse").split("$")[1:4]


def test_more_at_once_than_cores_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_places", threading.BoundedSemaphore(1))

    with passwords._place():
        with pytest.raises(Unavailable) as caught:
            hash_password("correct horse")
        with pytest.raises(Unavailable):
            verify_password(None, "correct horse")

    assert caught.value.retry_after_s >= 1
    assert hash_password("correct horse")


def test_a_place_is_free_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_places", threading.BoundedSemaphore(1))

    for _ in range(3):
        assert not verify_password("broken", "correct horse")
    with pytest.raises(UnicodeEncodeError):
        hash_password("\ud800" * 10)
    assert hash_password("correct horse")


def _took_s(stored: str | None) -> float:
    began = time.perf_counter()
    verify_password(stored, "another one")
    return time.perf_counter() - began
