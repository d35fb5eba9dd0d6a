"""Which tickets a full ingestion has seen: their keys' digests, page by page, so that no ticket is stamped."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pymongo import ASCENDING, IndexModel

from common.ids import JobId, new_id
from common.tenancy.collections import TenantCollection
from common.tenancy.scope import OrgScope

KEPT_FOR = timedelta(days=100)
"""Longer than a failed run can be retried."""

_DIGEST_BYTES = 16
_FORGOTTEN_AT_ONCE = 500
_UNUSED = hashlib.blake2b(digest_size=_DIGEST_BYTES)

SEEN = TenantCollection(
    "ingestion_seen",
    (
        IndexModel([("org_id", ASCENDING), ("job_id", ASCENDING), ("_id", ASCENDING)], name="by_job"),
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    ),
    travels=False,
)


def digest(natural_key: str) -> bytes:
    """Return what stands for a key, in 16 bytes."""
    made = _UNUSED.copy()  # in half the time that it takes to make one
    made.update(natural_key.encode())
    return made.digest()


def note(scope: OrgScope, job_id: JobId, natural_keys: Iterable[str], now: datetime) -> None:
    """Keep that the run *job_id* has seen these keys."""
    digests = b"".join(map(digest, natural_keys))
    if digests:
        scope[SEEN].insert_one(
            {"_id": new_id(), "job_id": job_id, "digests": digests, "expires_at": now + KEPT_FOR}
        )


def digests(scope: OrgScope, job_id: JobId) -> Iterator[list[bytes]]:
    """Go through all digests that the run has kept, a page at a time; a key may come more than once."""
    for page in scope[SEEN].find({"job_id": job_id}, sort=[("_id", 1)]):
        joined = bytes(page["digests"])
        yield [joined[start : start + _DIGEST_BYTES] for start in range(0, len(joined), _DIGEST_BYTES)]


def forget(scope: OrgScope, job_id: JobId) -> bool:
    """Let go of some of what the run has kept; tell whether there may be more."""
    some = [
        one["_id"] for one in scope[SEEN].find({"job_id": job_id}, projection={"_id": 1}, limit=_FORGOTTEN_AT_ONCE)
    ]
    if some:
        scope[SEEN].delete_many({"_id": {"$in": some}})
    return len(some) == _FORGOTTEN_AT_ONCE
