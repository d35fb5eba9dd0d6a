"""What a full run did not see: looked for once all pages are read, and never by a run that did not end whole."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from common.ids import JobId
from common.tenancy.scope import OrgScope
from common.tickets import seen
from common.tickets.collections import TICKETS
from common.tickets.fingerprints import Fingerprints
from common.tickets.revising import GONE

_LOOKED_AT_ONCE = 10_000
_STEP = 1_000
Keys = Sequence[str]


def load(scope: OrgScope, job_id: JobId, into: Fingerprints) -> int:
    """Put what the run has seen into a set on disk; return how many there are, repeated ones once."""
    count = 0
    for digests in seen.digests(scope, job_id):
        new = set(digests) - into.among(digests)
        into.add(new)
        count += len(new)
    return count


def unseen(
    scope: OrgScope, source_id: str, known: Fingerprints, *, after: str, before: datetime
) -> Iterator[tuple[str, Keys]]:
    """Go through the source's tickets in the order of their keys, from *after* on.

    Yields, for each step, the last key it looked at and the keys of live tickets that are not *known* and were
    changed *before*, last: what somebody else added or brought back during the run is not its to judge.
    """
    while keys := _live(scope, source_id, after):
        for start in range(0, len(keys), _STEP):
            step = keys[start : start + _STEP]
            after = step[-1]
            live = dict(zip(map(seen.digest, step), step, strict=True))
            missing = [live[one] for one in live.keys() - known.among(live)]
            yield after, untouched(scope, source_id, missing, before)


def _live(scope: OrgScope, source_id: str, after: str) -> Keys:
    """Return the next keys of tickets that are not gone, from the index alone: other hashes are of hex digits."""
    found = scope[TICKETS].find_all(
        {"source_id": source_id, "natural_key": {"$gt": after}, "content_hash": {"$lt": GONE}},
        projection={"_id": 0, "natural_key": 1},
        sort=[("natural_key", 1)],
        limit=_LOOKED_AT_ONCE,
        hint="content",
    )
    return [one["natural_key"] for one in found]


def untouched(scope: OrgScope, source_id: str, keys: Keys, before: datetime) -> Keys:
    """Return those of *keys* whose tickets are live, and were changed *before* that, last."""
    if not keys:
        return ()
    old = {"source_id": source_id, "deleted_at": None, "updated_at": {"$lt": before}}
    found = scope[TICKETS].find({**old, "natural_key": {"$in": list(keys)}}, projection={"natural_key": 1})
    return sorted(one["natural_key"] for one in found)
