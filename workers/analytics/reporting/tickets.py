"""The tickets of a range as rows, streamed in the order in which they were made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.analytics.asked import Asked
from common.analytics.reading import read
from common.tenancy.scope import OrgScope
from common.tickets.attributes import from_stored
from common.tickets.collections import LIVE, TICKETS
from workers.analytics.reporting.rows import AT_ONCE, Column, Rows

_COLUMNS = (
    Column("id", "plain"),
    Column("source_id", "text"),
    Column("external_id", "text"),
    Column("customer_id", "text"),
    Column("channel", "text"),
    Column("subject", "text"),
    Column("message", "text"),
    Column("status", "plain"),
    Column("tags", "json"),
    Column("attributes", "json"),
    Column("urgency", "plain"),
    Column("sentiment", "plain"),
    Column("requires_action", "truth"),
    Column("classifier", "plain"),
    Column("created_at", "instant"),
    Column("updated_at", "instant"),
)
FIELDS = tuple("_id" if column.name == "id" else column.name for column in _COLUMNS)
_ATTRIBUTES = FIELDS.index("attributes")
_PROJECTION = dict.fromkeys(FIELDS, 1)
_OLDEST_FIRST = (("created_at", 1), ("_id", 1))


def rows_of_tickets(scope: OrgScope, asked: Asked) -> Rows:
    """Return the tickets that are asked for, deleted ones left out; it is no point in time."""
    total = scope.transaction(lambda inner: read(inner, asked)).groups["counts"].get("total", 0)
    return Rows(_COLUMNS, _rows(scope, asked), total)


def _rows(scope: OrgScope, asked: Asked) -> Iterator[Sequence[Any]]:
    for stored in scope[TICKETS].find(
        _where(asked), projection=_PROJECTION, sort=_OLDEST_FIRST, batch_size=AT_ONCE
    ):
        row: list[Any] = list(map(stored.get, FIELDS))  # what an earlier version did not keep is null
        if row[_ATTRIBUTES]:
            row[_ATTRIBUTES] = from_stored(row[_ATTRIBUTES])
        yield row


def _where(asked: Asked) -> Mapping[str, Any]:
    where: dict[str, Any] = {"created_at": {"$gte": asked.start, "$lt": asked.end}, **LIVE}
    return where if asked.source_id is None else {"source_id": {"$eq": asked.source_id}, **where}
