"""The tickets' collections and their indexes: few, because each slows every import."""

from pymongo import ASCENDING, DESCENDING, TEXT, IndexModel

from common.tenancy.collections import TenantCollection

LIVE = {"deleted_at": None}
DELETED = {"deleted_at": {"$type": "date"}}
"""What a query has to say, in these words, to be served by the indexes of live or of deleted tickets."""

_NEWEST_FIRST = (("created_at", DESCENDING), ("_id", DESCENDING))

TICKETS = TenantCollection(
    "tickets",
    (
        # The natural key; who inserts it second has lost the race.
        IndexModel(
            [("org_id", ASCENDING), ("source_id", ASCENDING), ("natural_key", ASCENDING)],
            name="natural_key",
            unique=True,
        ),
        # What of a page is new or changed is told from this index alone, which can't be unique.
        IndexModel(
            [
                ("org_id", ASCENDING),
                ("source_id", ASCENDING),
                ("natural_key", ASCENDING),
                ("content_hash", ASCENDING),
            ],
            name="content",
        ),
        # The list, newest first; filters that leave much are checked on its way.
        IndexModel([("org_id", ASCENDING), *_NEWEST_FIRST], name="live_newest", partialFilterExpression=LIVE),
        # The two filters that people live in: what is open, and what can't wait.
        IndexModel(
            [("org_id", ASCENDING), ("status", ASCENDING), *_NEWEST_FIRST],
            name="live_status",
            partialFilterExpression=LIVE,
        ),
        IndexModel(
            [("org_id", ASCENDING), ("urgency", ASCENDING), *_NEWEST_FIRST],
            name="live_urgency",
            partialFilterExpression=LIVE,
        ),
        # Of a source that has a twentieth of the tickets a page examined twelve times what it shows without.
        IndexModel(
            [("org_id", ASCENDING), ("source_id", ASCENDING), *_NEWEST_FIRST],
            name="live_source",
            partialFilterExpression=LIVE,
        ),
        IndexModel(
            [("org_id", ASCENDING), ("deleted_at", DESCENDING), ("_id", DESCENDING)],
            name="deleted",
            partialFilterExpression=DELETED,
        ),
        # Words as they are written, in no language; no ticket has the field that could name another.
        IndexModel(
            [("org_id", ASCENDING), ("subject", TEXT), ("message", TEXT)],
            name="words",
            default_language="none",
            language_override="language_of_words",
        ),
        IndexModel(
            [("expires_at", ASCENDING)],
            name="expiry",
            expireAfterSeconds=0,
            partialFilterExpression={"expires_at": {"$type": "date"}},
        ),
    ),
    references=("source_id", "deleted_by"),
)

HISTORY = TenantCollection(
    "ticket_history",
    (IndexModel([("org_id", ASCENDING), ("ticket_id", ASCENDING), ("_id", ASCENDING)], name="of_ticket"),),
    references=("ticket_id", "job_id", "actor_id"),
    append_only=True,
)

TOMBSTONES = TenantCollection(
    "ticket_tombstones",
    (
        IndexModel(
            [("org_id", ASCENDING), ("source_id", ASCENDING), ("natural_key", ASCENDING)],
            name="natural_key",
            unique=True,
        ),
    ),
    references=("source_id", "deleted_by"),
)

REFUSED_ROWS = TenantCollection(
    "refused_rows",
    (
        IndexModel([("org_id", ASCENDING), ("job_id", ASCENDING), ("line", ASCENDING)], name="by_job"),
        # Those of a source's runs, which come without end; an import's stay.
        IndexModel(
            [("expires_at", ASCENDING)],
            name="expiry",
            expireAfterSeconds=0,
            partialFilterExpression={"expires_at": {"$type": "date"}},
        ),
    ),
    references=("job_id",),
)
