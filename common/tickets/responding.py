"""When a ticket was answered: the first time that it was seen to be open no more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

OPEN = "open"


def answered(before: Mapping[str, Any], after: Mapping[str, Any], at: datetime) -> dict[str, datetime]:
    """Return the field that keeps it, if the fields *after*, set in the ticket *before*, answer it first of all.

    Of a ticket that was never seen open nobody knows when it was answered.
    """
    is_answered = before["status"] == OPEN and after.get("status", OPEN) != OPEN
    return {"responded_at": at} if is_answered and before.get("responded_at") is None else {}
