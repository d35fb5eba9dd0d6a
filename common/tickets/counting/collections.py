"""The collections of what is counted. None travels in an archive: where tickets arrive, they are counted anew."""

from pymongo import ASCENDING, IndexModel

from common.tenancy.collections import TenantCollection

ROLLUPS = TenantCollection(
    "ticket_rollups",
    (
        IndexModel(
            [("org_id", ASCENDING), ("source_id", ASCENDING), ("span", ASCENDING), ("block", ASCENDING)],
            name="place",
            unique=True,
        ),
    ),
    references=("source_id",),
    travels=False,
)
"""`{source_id, span, block, cells: {number: Cell}, quarters: totals}`.

`source_id` is None for all sources together; the block is the day's number divided by the span. A day has cells 0
to 3; an octet and 64 days have cell 0 alone, and an octet the totals of its 768 quarter hours (`sums.packed`).
Keywords and customers are packed (`packing`). Of a group that grew past its bound a cell keeps None: then what it
sums up is asked.
"""

DELTAS = TenantCollection(
    "ticket_deltas",
    (IndexModel([("org_id", ASCENDING), ("_id", ASCENDING)], name="oldest_first"),),
    travels=False,
)
"""What a transaction changed of the counts and no rollup has yet.

`{weight: tickets, parts: [{source_id, day, cell, quarters: {number of the day: n}, **Cell.stored()}]}`.
"""
