"""The collections of rooms and files, with their indexes.

rooms ──< room_members        who may do what in a room
  │
  └────< room_files >── files ── blob      a content is stored once, and lives as long as a room links it
                                  │
loose_blobs ──────────────────────┘        bytes that no file has: on their way in, or on their way out
storage_use                                what both take of the quota, in one document
import_groups                              the entries of archives, and what became of each
audit_log                                  who did what
"""

from pymongo import ASCENDING, DESCENDING, IndexModel

from common.tenancy.collections import TenantCollection

ROOMS = TenantCollection(
    "rooms",
    (IndexModel([("org_id", ASCENDING), ("_id", DESCENDING)], name="newest"),),
    references=("created_by",),
)

ROOM_MEMBERS = TenantCollection(
    "room_members",
    (
        IndexModel(
            [("org_id", ASCENDING), ("room_id", ASCENDING), ("user_id", ASCENDING)], name="member", unique=True
        ),
        IndexModel([("org_id", ASCENDING), ("room_id", ASCENDING), ("role", ASCENDING)], name="role"),
        # A person's rooms, the newest first.
        IndexModel([("org_id", ASCENDING), ("user_id", ASCENDING), ("room_id", DESCENDING)], name="rooms"),
    ),
    references=("room_id", "user_id"),
)

FILES = TenantCollection(
    "files",
    # Who stores a content second has lost the race, and links the first one's.
    (IndexModel([("org_id", ASCENDING), ("sha256", ASCENDING)], name="content", unique=True),),
    references=("blob_id",),
    blob="blob_id",
)

ROOM_FILES = TenantCollection(
    "room_files",
    (
        IndexModel(
            [("org_id", ASCENDING), ("room_id", ASCENDING), ("file_id", ASCENDING)], name="link", unique=True
        ),
        IndexModel([("org_id", ASCENDING), ("room_id", ASCENDING), ("_id", DESCENDING)], name="newest"),
        IndexModel([("org_id", ASCENDING), ("file_id", ASCENDING)], name="rooms"),
    ),
    references=("room_id", "file_id", "added_by"),
)

LOOSE_BLOBS = TenantCollection(
    "loose_blobs",
    (
        IndexModel([("org_id", ASCENDING), ("job_id", ASCENDING)], name="job"),
        # For the cleaner, across organizations.
        IndexModel([("until", ASCENDING)], name="due"),
    ),
    travels=False,
    blob="_id",
)

STORAGE_USE = TenantCollection(
    "storage_use", (IndexModel([("org_id", ASCENDING)], name="org", unique=True),), travels=False
)

IMPORT_GROUPS = TenantCollection(
    "import_groups",
    (
        IndexModel(
            [("org_id", ASCENDING), ("job_id", ASCENDING), ("number", ASCENDING)], name="group", unique=True
        ),
        # How far an archive is: counted from the index alone.
        IndexModel(
            [("org_id", ASCENDING), ("job_id", ASCENDING), ("state", ASCENDING), ("size", ASCENDING)], name="state"
        ),
        # They outlive their job's record, then go.
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    ),
    references=("job_id",),
    travels=False,
)

AUDIT_LOG = TenantCollection(
    "audit_log",
    (
        IndexModel([("org_id", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="newest"),
        IndexModel(
            [
                ("org_id", ASCENDING),
                ("room_id", ASCENDING),
                ("action", ASCENDING),
                ("created_at", DESCENDING),
                ("_id", DESCENDING),
            ],
            name="room",
        ),
        IndexModel(
            [("org_id", ASCENDING), ("actor_id", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
            name="actor",
        ),
        IndexModel(
            [("org_id", ASCENDING), ("action", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
            name="action",
        ),
    ),
    references=("room_id", "file_id", "actor_id", "subject_id", "job_id"),
    append_only=True,
)
