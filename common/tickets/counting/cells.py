"""Cells: what is counted of the tickets of one source that were created in one span of time, and their places.

A day (UTC) has four cells of six hours. What is summed up is kept for a day, for eight and for sixty-four, so that
any range is a few of them; what is left at its ragged ends is less than a cell.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from common.tickets.attributes import escape

CELL = timedelta(hours=6)
CELLS_A_DAY = 4
QUARTER = timedelta(minutes=15)
QUARTERS_A_DAY = 96
DAY, OCTET, SPAN_64 = SPANS = (1, 8, 64)
"""How many days a rollup sums up; an octet also keeps each quarter hour's total, for the trends of any zone."""

GROUPS = ("counts", "keywords", "customers", "responses")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
K = TypeVar("K")
Counts = defaultdict[str, int]


def no_counts() -> Counts:
    """Return counts of nothing; a `Counter` takes ten times as long to make, and most cells hold few tickets."""
    return defaultdict(int)


@dataclass(frozen=True, slots=True)
class Place:
    """Where tickets are counted: their source, and the cell of the day (counted from 1970) of their creation."""

    source_id: str
    day: int
    cell: int


@dataclass(slots=True)
class Cell:
    """Counters by group; what is 0 may be left out.

    *counts* has `total`, `requires_action`, and `status:…`, `urgency:…` and `sentiment:…` of each value;
    *keywords* the tickets of each word; *customers* each one's tickets that may put it at risk; *responses* the
    answered tickets by bucket of time.
    """

    counts: Counts = field(default_factory=no_counts)
    keywords: Counts = field(default_factory=no_counts)
    customers: Counts = field(default_factory=no_counts)
    responses: Counts = field(default_factory=no_counts)

    def stored(self) -> dict[str, dict[str, int]]:
        """Return what is kept of it: no group that is empty, and nothing that is 0; customers' ids escaped."""
        kept = {group: counts for group in GROUPS if (counts := without_zeros(getattr(self, group)))}
        if "customers" in kept:
            kept["customers"] = {escape(customer_id): n for customer_id, n in kept["customers"].items()}
        return kept


def without_zeros(counts: dict[K, int]) -> dict[K, int]:
    """Return *counts*, or those of them that are not 0."""
    return {key: n for key, n in counts.items() if n} if 0 in counts.values() else counts


def day_of(at: datetime) -> int:
    """Return the number of the day (UTC) of an instant, counted from 1970."""
    return (at - _EPOCH) // timedelta(days=1)


def start_of_day(day: int) -> datetime:
    """Return the instant at which a day begins."""
    return _EPOCH + timedelta(days=day)


def place_of(ticket: Mapping[str, Any]) -> Place:
    """Return where the stored *ticket* is counted."""
    day, within = divmod(ticket["created_at"] - _EPOCH, timedelta(days=1))
    return Place(ticket["source_id"], day, within // CELL)


def quarter_of(ticket: Mapping[str, Any]) -> int:
    """Return the quarter hour of its day in which the stored *ticket* was created."""
    within: timedelta = (ticket["created_at"] - _EPOCH) % timedelta(days=1)
    return within // QUARTER
