"""Passwords: argon2id, at most as many at once as cores, so that hashing never starves other requests."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.errors import Unavailable

MIN_CHARS = 8
MAX_CHARS = 256

_hasher = PasswordHasher()
_places = threading.BoundedSemaphore(os.cpu_count() or 1)
_nobody: list[str] = []


def hash_password(password: str) -> str:
    """Return the hash to store. Raises `Unavailable` while every core is busy with others."""
    with _place():
        return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Tell whether *password* is the one of *stored*.

    With nothing stored (no such person) it takes as long and says no, so that timing tells nothing.
    Raises `Unavailable` while every core is busy with others.
    """
    with _place():
        try:
            _hasher.verify(stored if stored is not None else _hash_of_nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise Unavailable("Too many are signing in at this moment. Try again shortly.", retry_after_s=1)
    try:
        yield
    finally:
        _places.release()


def _hash_of_nobody() -> str:
    if not _nobody:
        _nobody.append(_hasher.hash(os.urandom(16).hex()))
    return _nobody[0]
