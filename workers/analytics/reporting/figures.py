"""Statistics and usage as rows: a figure each, by its section and key, and a day each."""

from collections.abc import Iterator, Mapping
from typing import Any

from workers.analytics.reporting.rows import Column, Rows

_FIGURES = (Column("section", "plain"), Column("key", "text"), Column("value", "plain"))
_LISTS = {
    "hourly_trend": ("from", "total"),
    "daily_trend": ("date", "total"),
    "top_keywords": ("keyword", "tickets"),
    "at_risk_customers": ("customer_id", "tickets"),
}
"""Of the lists that statistics have, what an entry is named by and what it counts."""

_SPLITS = ("by_status", "by_urgency", "by_sentiment", "response_time")


def rows_of_statistics(statistics: Mapping[str, Any]) -> Rows:
    """Return statistics, as the API shows them, with one figure a row."""
    rows = list(_figures(statistics))
    return Rows(_FIGURES, iter(rows), len(rows), whole=statistics)


def rows_of_usage(usage: Mapping[str, Any]) -> Rows:
    """Return usage, as the API shows it, with one day a row."""
    days = usage["days"]
    columns = [Column(name, "plain") for name in ("date", *(name for name in days[0] if name != "date"))]
    rows = [[day[column.name] for column in columns] for day in days]
    return Rows(columns, iter(rows), len(rows), whole=usage)


def _figures(statistics: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name in ("total", "requires_action"):
        yield name, "", statistics[name]
    for name in _SPLITS:
        for key, value in statistics[name].items():
            yield name, key, value
    for name, (key, value) in _LISTS.items():
        for entry in statistics[name] or ():
            yield name, entry[key], entry[value]
