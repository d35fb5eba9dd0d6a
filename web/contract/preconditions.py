"""`If-Match` (RFC 9110): a change names the version of the thing that it is made for."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import request

from common.errors import Fault, Invalid, PreconditionRequired, Stale

T = TypeVar("T")
NEEDED: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 1000},
    "description": "the ETag of the thing as it was read",
}
"""The header as the document shows it, where a change needs it."""


TAKEN: dict[str, Any] = {**NEEDED, "required": False}
"""The header where a change may do without."""


def matches(version: str) -> bool:
    """Tell whether the caller means one version, and it is this one.

    Raises `Stale` if it is another, `Invalid` for a header that names none: it was meant to guard the change.
    """
    if "If-Match" not in request.headers:
        return False
    if not request.if_match:
        raise Invalid(
            "If-Match names no ETag.", [Fault("must name an ETag, or be left out", "If-Match", "header")]
        )
    if version not in request.if_match:
        raise Stale("It has changed since you read it. Read it again.")
    return not request.if_match.star_tag


def must_match(version: str) -> None:
    """Go on if the caller means this *version*. Raises `PreconditionRequired`, or like `matches`."""
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send If-Match with the ETag that came with the thing when you read it.")
    matches(version)


def settled(attempt: Callable[[], T]) -> T:
    """Return what *attempt* returns; who named no version is not told of another's change, but tried again.

    *attempt* reads the thing anew each time. Raises `Stale` where a version is named, or nothing settles.
    """
    for _ in range(_TRIES):
        try:
            return attempt()
        except Stale:
            if "If-Match" in request.headers:
                raise
    return attempt()


_TRIES = 20
