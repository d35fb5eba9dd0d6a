"""What a ticket adds to the counts while it is there. Pure; whatever counts tickets one by one goes by this."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.tickets.counting.cells import Cell

FIELDS = (
    "source_id",
    "created_at",
    "deleted_at",
    "status",
    "urgency",
    "sentiment",
    "requires_action",
    "keywords",
    "customer_id",
    "responded_at",
)
"""The fields of a ticket that are looked at."""

UNKNOWN = "unknown"
"""Where a ticket of an earlier version has no class."""

RELATIVE_ERROR = 0.02
_LOG_OF_STEP = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
_SPLITS = ("status", "urgency", "sentiment")


def is_counted(ticket: Mapping[str, Any]) -> bool:
    """Tell whether the stored *ticket* is there: deleted ones count nowhere."""
    return ticket.get("deleted_at") is None


def count(ticket: Mapping[str, Any], cell: Cell, times: int = 1) -> None:
    """Add to *cell* what the stored *ticket*, which is there, counts as; with -1 *times* take it away."""
    counts = cell.counts
    counts["total"] += times
    for name in _SPLITS:
        counts[f"{name}:{ticket.get(name) or UNKNOWN}"] += times
    if ticket.get("requires_action"):
        counts["requires_action"] += times
    for word in ticket.get("keywords") or ():
        cell.keywords[word] += times
    if puts_at_risk(ticket):
        cell.customers[ticket["customer_id"]] += times
    if (took_s := response_s(ticket)) is not None:
        cell.responses[str(bucket_of(took_s))] += times


def puts_at_risk(ticket: Mapping[str, Any]) -> bool:
    """Tell whether a ticket counts towards its customer's risk: it is negative, and can't wait."""
    return bool(
        ticket.get("customer_id") and ticket.get("sentiment") == "negative" and ticket.get("urgency") == "high"
    )


def response_s(ticket: Mapping[str, Any]) -> float | None:
    """Return how many seconds it took until the ticket was open no more for the first time, if that is known."""
    responded_at: datetime | None = ticket.get("responded_at")
    created_at: datetime = ticket["created_at"]
    return None if responded_at is None else max(0.0, (responded_at - created_at).total_seconds())


def bucket_of(seconds: float) -> int:
    """Return the bucket of a time: each is 4 % wide, so its middle is at most 2 % off; below 1 s there is one."""
    return 0 if seconds < 1 else math.floor(math.log(seconds) / _LOG_OF_STEP) + 1


def middle_of(bucket: int) -> float:
    """Return the time in seconds that stands for a bucket."""
    if bucket == 0:
        return 0.5
    low = math.exp((bucket - 1) * _LOG_OF_STEP)
    return low * (1 + RELATIVE_ERROR)
