"""Passwords: what can be one, and how many are hashed at once."""

import os
import sys
import threading
import time

import pytest

from common.errors import Unavailable
from common.organizations import hashing, passwords
from common.organizations.hashing import Hashing
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
    one, may_end, begun = Hashing(1), threading.Event(), threading.Event()
    monkeypatch.setattr(passwords, "_hashing", one)
    monkeypatch.setattr(hashing, "PATIENCE_S", 0.05)
    busy = threading.Thread(target=lambda: one.do(lambda: begun.set() or may_end.wait(10)))
    busy.start()
    assert begun.wait(5)

    with pytest.raises(Unavailable) as caught:
        hash_password("correct horse")
    with pytest.raises(Unavailable):
        verify_password(None, "correct horse")
    may_end.set()
    busy.join(5)

    assert caught.value.retry_after_s >= 1
    assert hash_password("correct horse")


def test_what_has_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PATIENCE_S", 0.001)

    assert Hashing(1).do(lambda: threading.Event().wait(0.1) or "done") == "done"


def test_a_place_is_free_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hashing", Hashing(1))

    for _ in range(3):
        assert not verify_password("broken", "correct horse")
    with pytest.raises(UnicodeEncodeError):
        hash_password("\ud800" * 10)
    assert hash_password("correct horse")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a thread has no priority of its own")
def test_hashing_yields_to_everybody_else() -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)

    there = Hashing(1).do(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    assert there == here + hashing.YIELDING
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == here


def test_a_process_that_was_forked_hashes_too() -> None:
    hash_password("correct horse")  # the threads of this process do not go along
    child = os.fork()
    if child == 0:
        os._exit(0 if verify_password(None, "x") is False else 1)

    assert os.waitpid(child, 0)[1] == 0


def _took_s(stored: str | None) -> float:
    began = time.perf_counter()
    verify_password(stored, "another one")
    return time.perf_counter() - began
