"""What a connector's secrets may be, and the headers that carry them. No sentence here repeats a secret."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonpointer import JsonPointer

from common.errors import CredentialsRefused

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class CredentialField:
    """One secret that a connector needs or takes. Only what is sent in Base64 may hold more than ASCII."""

    description: str
    required: bool
    max_chars: int = 1_000
    only_ascii: bool = True


def wrong_with(given: Mapping[str, Any], fields: Mapping[str, CredentialField]) -> list[tuple[str, str]]:
    """Return the JSON pointer and a sentence for each value of *given* that its field does not take."""
    missing = [(f"/{name}", "Is needed.") for name, one in fields.items() if one.required and name not in given]
    other = f"There is no such credential; it takes: {', '.join(fields) or 'none'}."
    unknown = [(_pointer(name), other) for name in given if name not in fields]
    faults = {name: _fault(given[name], one) for name, one in fields.items() if name in given}
    return missing + unknown + [(f"/{name}", fault) for name, fault in faults.items() if fault]


def either(given: Mapping[str, Any], *ways: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return a fault unless *given* holds just what one of *ways* needs."""
    if {name for name in given if given[name]} in [set(way) for way in ways]:
        return []
    return [("", f"Give {', or '.join(' and '.join(way) for way in ways)}, and nothing else.")]


def needed(credentials: Mapping[str, str], name: str) -> str:
    """Return the secret called *name*. Raises `CredentialsRefused` if there is none."""
    value = credentials.get(name)
    if not value:
        raise CredentialsRefused(f"The source can't be called without a {name}.")
    return value


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries *token* (RFC 6750)."""
    return {"Authorization": f"Bearer {token}"}


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header that carries both in Base64 (RFC 7617)."""
    both = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {both}"}


def _fault(value: Any, field: CredentialField) -> str | None:
    if not isinstance(value, str) or not value:
        return "Must be a text that is not empty."
    if len(value) > field.max_chars:
        return f"Must have at most {field.max_chars} characters."
    if _CONTROL.search(value):
        return "Must hold no control characters."
    if value != value.strip():
        return "Must not begin or end with a space."
    if field.only_ascii and not value.isascii():
        return "Must be ASCII."
    return None


def _pointer(name: str) -> str:
    return str(JsonPointer.from_parts([name]).path)
