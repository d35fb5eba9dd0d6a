"""The tickets' collections and their indexes: few, because each slows every import."""

from pymongo import ASCENDING, DESCENDING, IndexModel

from common.tenancy.collections import TenantCollection

TICKETS = TenantCollection(
    "tickets",
    (
        # The natural key; who inserts it second has lost the race.
        IndexModel(
            [("org_id", ASCENDING), ("source_id", ASCENDING), ("natural_key", ASCENDING)],
            name="natural_key",
            unique=True,
        ),
        # The list, newest first; filters that leave much are checked on its way.
        IndexModel([("org_id", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="newest"),
        # The one filter that people live in: what is open.
        IndexModel(
            [("org_id", ASCENDING), ("status", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
            name="status",
        ),
    ),
)

REFUSED_ROWS = TenantCollection(
    "refused_rows",
    (IndexModel([("org_id", ASCENDING), ("job_id", ASCENDING), ("line", ASCENDING)], name="by_job"),),
    references=("job_id",),
)
