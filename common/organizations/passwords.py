"""Passwords: argon2id, at most as many at once as cores, so that hashing never starves other requests."""

import os
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.organizations.hashing import Hashing, cores

MIN_CHARS = 8
MAX_CHARS = 256

_hasher = PasswordHasher()
_hashing = Hashing(cores())
_nobody: list[str] = []


def share_cores(processes: int) -> None:
    """Hash as many passwords at once as this process has cores, where so many *processes* share them."""
    global _hashing  # noqa: PLW0603 (threads do not outlive a fork: each process makes its own)
    _hashing = Hashing(max(1, cores() // processes))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: share_cores(1))


def hash_password(password: str) -> str:
    """Return the hash to store.

    Raises `ValueError` for a password that is too short, too long or no text, `Unavailable` while every core
    stays busy with others.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise ValueError(f"A password has {MIN_CHARS} to {MAX_CHARS} characters.")
    typed = _bytes(password)
    return _hashing.do(lambda: _hasher.hash(typed))


def verify_password(stored: str | None, password: str) -> bool:
    """Tell whether *password* is the one of *stored*.

    With nothing stored (no such person) it takes as long and says no, so that timing tells nothing.
    Raises `ValueError` for what can't be a password, `Unavailable` while every core stays busy with others.
    """
    if len(password) > MAX_CHARS:
        raise ValueError(f"A password has at most {MAX_CHARS} characters.")
    typed = _bytes(password)
    return _hashing.do(lambda: _matches(stored, typed))


def _matches(stored: str | None, typed: bytes) -> bool:
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


def _hash_of_nobody() -> str:
    if not _nobody:
        _nobody.append(_hasher.hash(os.urandom(16).hex()))
    return _nobody[0]
