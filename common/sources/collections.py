"""The collections of sources, with their indexes.

sources ──── source_secrets      what its API wants to be shown, encrypted; stays here when the organization moves
   │  └───── source_runs         whose turn it is, when the next one comes, and how far the last one got
   └───────< ingestion_logs      one of each run
"""

from pymongo import ASCENDING, DESCENDING, IndexModel

from common.tenancy.collections import TenantCollection

SOURCES = TenantCollection(
    "sources",
    (
        IndexModel([("org_id", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)], name="newest"),
        # A deleted one is remembered for as long as the request that made it may be repeated.
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    ),
    references=("created_by",),
)

SOURCE_SECRETS = TenantCollection(
    "source_secrets", (IndexModel([("org_id", ASCENDING), ("_id", ASCENDING)], name="org"),), travels=False
)

SOURCE_RUNS = TenantCollection(
    "source_runs",
    (
        IndexModel([("org_id", ASCENDING), ("next_run_at", ASCENDING)], name="org_due"),
        # For the sweeper, across organizations.
        IndexModel([("next_run_at", ASCENDING)], name="due"),
    ),
    references=("job_id",),
    travels=False,
)

INGESTION_LOGS = TenantCollection(
    "ingestion_logs",
    (
        IndexModel([("org_id", ASCENDING), ("_id", DESCENDING)], name="newest"),
        IndexModel([("org_id", ASCENDING), ("source_id", ASCENDING), ("_id", DESCENDING)], name="source"),
        # For the sweeper, across organizations: whose handler never came to its end.
        IndexModel([("settle_at", ASCENDING)], name="settle"),
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    ),
    references=("source_id",),
)
