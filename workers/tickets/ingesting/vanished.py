"""What a full run did not see: looked for once all pages are read, and never by a run that did not end whole."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from common.ids import JobId
from common.tenancy.scope import OrgScope
from common.tickets import seen
from common.tickets.collections import TICKETS
from common.tickets.fingerprints import Fingerprints
from common.tickets.sync import GONE

_LOOKED_AT_ONCE = 1_000
Keys = Sequence[str]


def load(scope: OrgScope, job_id: JobId, into: Fingerprints) -> int:
    """Put what the run has seen into a set on disk; return how many there were, repeated ones as often."""
    count = 0
    for digests in seen.digests(scope, job_id):
        into.add(digests)
        count += len(digests)
    return count


def unseen(
    scope: OrgScope, source_id: str, known: Fingerprints, *, after: str, before: datetime
) -> Iterator[tuple[str, Keys]]:
    """Go through the source's tickets in the order of their keys, from *after* on.

    Yields, for each step, the last key it looked at and the keys of live tickets that are not *known* and were
    changed *before*, last: what somebody else added or brought back during the run is not its to judge.
    """
    while True:
        rows = list(
            scope[TICKETS].find(
                {"source_id": source_id, "natural_key": {"$gt": after}},
                projection={"_id": 0, "natural_key": 1, "content_hash": 1},
                sort=[("natural_key", 1)],
                limit=_LOOKED_AT_ONCE,
                hint="content",
            )
        )
        if not rows:
            return
        after = rows[-1]["natural_key"]
        live = {
            seen.digest(one["natural_key"]): one["natural_key"]
            for one in rows
            if not one["content_hash"].startswith(GONE)
        }
        missing = [live[one] for one in live.keys() - known.among(live)]
        yield after, _older(scope, source_id, missing, before)


def _older(scope: OrgScope, source_id: str, keys: Keys, before: datetime) -> Keys:
    if not keys:
        return ()
    old = {"source_id": source_id, "deleted_at": None, "updated_at": {"$lt": before}}
    found = scope[TICKETS].find({**old, "natural_key": {"$in": list(keys)}}, projection={"natural_key": 1})
    return sorted(one["natural_key"] for one in found)
