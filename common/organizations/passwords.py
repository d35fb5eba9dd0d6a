"""Passwords: argon2id, at most as many at once as cores, so that hashing never starves other requests."""

import os
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.errors import Unavailable

MIN_CHARS = 8
MAX_CHARS = 256
PATIENCE_S = 2.0
"""How long one waits for its turn: a few people at once are no reason to send anybody away."""

_hasher = PasswordHasher()
_places = threading.BoundedSemaphore(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
_nobody: list[str] = []


def hash_password(password: str) -> str:
    """Return the hash to store.

    Raises `ValueError` for a password that is too short, too long or no text, `Unavailable` while every core
    stays busy with others.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise ValueError(f"A password has {MIN_CHARS} to {MAX_CHARS} characters.")
    typed = _bytes(password)
    with _place():
        return _hasher.hash(typed)


def verify_password(stored: str | None, password: str) -> bool:
    """Tell whether *password* is the one of *stored*.

    With nothing stored (no such person) it takes as long and says no, so that timing tells nothing.
    Raises `ValueError` for what can't be a password, `Unavailable` while every core stays busy with others.
    """
    if len(password) > MAX_CHARS:
        raise ValueError(f"A password has at most {MAX_CHARS} characters.")
    typed = _bytes(password)
    with _place():
        nobody = _hash_of_nobody()  # asked for also where it is not needed: the first time it costs as much again
        try:
            _hasher.verify(stored if stored is not None else nobody, typed)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def is_outdated(stored: str) -> bool:
    """Tell whether *stored* was made under other settings of the hash than ours now: then hash it again."""
    try:
        return _hasher.check_needs_rehash(stored)
    except InvalidHashError:
        return False


def _bytes(password: str) -> bytes:
    """Write *password* as its composed characters: keyboards differ in how they send the same ones."""
    return unicodedata.normalize("NFC", password).encode("utf-8")


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=PATIENCE_S):
        raise Unavailable("Too many are signing in at this moment. Try again shortly.", retry_after_s=1)
    try:
        yield
    finally:
        _places.release()


def _hash_of_nobody() -> str:
    if not _nobody:
        _nobody.append(_hasher.hash(os.urandom(16).hex()))
    return _nobody[0]
