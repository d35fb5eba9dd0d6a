"""Fences: in every data database, the highest claim number that may still write for a job, and its checkpoint.

A handler's writes go in one transaction that first moves its own fence. A worker that lost its lease finds a
higher number there and writes nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from common.errors import LeaseLost
from common.tenancy.collections import TenantCollection

KEPT_S = 100 * 24 * 3600
FENCE_INDEXES = (
    IndexModel([("org_id", ASCENDING), ("_id", ASCENDING)], name="org"),
    # A fence outlives its job's record, then goes; TTL indexes can't begin with the organization.
    IndexModel([("moved_at", ASCENDING)], expireAfterSeconds=KEPT_S, name="expiry"),
)
FENCES = TenantCollection("fences", FENCE_INDEXES, travels=False)


class FenceCollection(Protocol):
    """What a fence needs of its collection: pymongo's own, or an organization's view of one."""

    @property
    def find_one_and_update(self) -> Callable[..., Any]:
        """Update the first match and return it."""
        ...


def move(
    fences: FenceCollection,
    job_id: str,
    claim: int,
    now: datetime,
    *,
    checkpoint: Mapping[str, Any] | None = None,
    **options: Any,
) -> Mapping[str, Any] | None:
    """Move the fence of *job_id* to *claim* and return the checkpoint that stands there now.

    With *checkpoint*, that is stored as well. *options* are pymongo's (session).
    Raises `LeaseLost` if a later claim has been here.
    """
    fields: dict[str, Any] = {"token": claim, "moved_at": now}
    if checkpoint is not None:
        fields["checkpoint"] = dict(checkpoint)
    try:
        fence = fences.find_one_and_update(
            {"_id": job_id, "token": {"$lte": claim}},
            {"$set": fields},
            upsert=True,
            return_document=True,
            **options,
        )
    except DuplicateKeyError as error:  # the fence is there, and stands higher
        raise LeaseLost(f"A later claim than {claim} of this job has written already.") from error
    found: Mapping[str, Any] | None = fence.get("checkpoint")
    return found
