"""What the API shows of statistics, usage and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairway.models import Model


@dataclass(frozen=True, kw_only=True)
class TicketStatistics(Model):
    """What tickets come to; *range* has the instants `from` and `to`, an hour its `from`, a day its `date`."""

    range: Mapping[str, str]
    tz: str
    source_id: str | None
    total: int
    by_status: Mapping[str, int]
    by_urgency: Mapping[str, int]
    by_sentiment: Mapping[str, int]
    requires_action: int
    hourly_trend: Sequence[Mapping[str, Any]] | None
    daily_trend: Sequence[Mapping[str, Any]]
    top_keywords: Sequence[Mapping[str, Any]]
    at_risk_customers: Sequence[Mapping[str, Any]]
    response_time: Mapping[str, Any]
    as_of: str


@dataclass(frozen=True, kw_only=True)
class Usage(Model):
    """What an organization used in *range*, `from` and `to`, day by day, and how it stands against its limits."""

    range: Mapping[str, str]
    requests: Mapping[str, int]
    jobs: Mapping[str, Any]
    storage: Mapping[str, int]
    users: int
    rows_written: int
    days: Sequence[Mapping[str, Any]]
    warnings: Sequence[Mapping[str, Any]]
    counted_to: str | None
    as_of: str


@dataclass(frozen=True, kw_only=True)
class Report(Model):
    """A report as a file, which is there until it expires; *range* has the instants `from` and `to`."""

    id: str
    kind: str
    format: str
    range: Mapping[str, str]
    tz: str
    source_id: str | None
    filename: str
    rows: int
    size_bytes: int
    sha256: str
    created_at: str
    expires_at: str
    links: Mapping[str, str]
