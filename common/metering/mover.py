"""Moving what was counted from Redis to MongoDB: once, wherever whoever moves it dies.

    counting ──take──▶ moving ──one transaction: its id, and all its sums──▶ MongoDB ──▶ forget

A batch keeps its id from its first count on. One that stands in Redis although it was moved (a death before it was
forgotten, a Redis that came back as it was a second ago) is known by it, and forgotten.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from common.clock import Clock
from common.coordination.scripts import Script
from common.ids import OrgId
from common.logs import get_logger
from common.metering.figures import MOST, Metered
from common.metering.kept import MOVED, id_of
from common.metering.meter import BUCKETS, EVERY_S, counting
from common.metrics import SWALLOWED
from common.tenancy.control import ControlPlane

HANDED_ON_WITHIN = timedelta(seconds=2 * EVERY_S)
"""What was counted longer ago is in Redis, while it answers."""

Sums = Mapping[Metered, int]
log = get_logger()


@dataclass(frozen=True)
class _Batch:
    """What a bucket held; it *is_fresh* if nobody tried to move it before."""

    id: str
    sums: Sums
    is_fresh: bool


class Mover:
    """Moves the sums of all organizations; any number of them may do so at once."""

    def __init__(self, control: ControlPlane, client: "redis.Redis", clock: Clock) -> None:
        self._control = control
        self._script = Script(client, __file__)
        self._clock = clock

    def once(self) -> set[OrgId]:
        """Move all that is there; return whose it was.

        Raises `Unavailable` without Redis and `PyMongoError` without MongoDB; the next call goes on there.
        """
        begun_at = self._clock.now()
        moved = set[OrgId]()
        for bucket in range(BUCKETS):
            for batch in self._batches(bucket):
                self._write(bucket, batch)
                self._forget(bucket, batch)
                moved |= {metered.org_id for metered in batch.sums}
        self._control.platform_state.update_one(
            MOVED, {"$max": {"moved_at": begun_at - HANDED_ON_WITHIN}}, upsert=True
        )
        return moved

    def _batches(self, bucket: int) -> Iterator[_Batch]:
        """Go through what an earlier call left in a bucket, if it did, and what was counted since."""
        while (batch := self._take(bucket)) is not None:
            yield batch
            if batch.is_fresh:
                return

    def _take(self, bucket: int) -> _Batch | None:
        is_fresh, flat = self._script(_keys(bucket), "take")
        found = {flat[at].decode("utf-8", "replace"): flat[at + 1] for at in range(0, len(flat), 2)}
        return _Batch(found.pop("id", b"").decode(), _sums(found), bool(is_fresh)) if flat else None

    def _write(self, bucket: int, batch: _Batch) -> None:
        """Add a batch to what is kept, unless it was."""
        updates = _updates(batch.sums)
        noted = {"_id": f"{bucket} {batch.id}", "at": self._clock.now()}

        def work(session: ClientSession) -> None:
            self._control.usage_batches.insert_one(noted, session=session)
            if updates:
                self._control.usage.bulk_write(updates, ordered=False, session=session)

        try:
            self._control.transaction(work)
        except DuplicateKeyError:
            log.warning("usage.moved_before", bucket=bucket, sums=len(batch.sums))

    def _forget(self, bucket: int, batch: _Batch) -> None:
        self._script(_keys(bucket), "forget", batch.id)


def _keys(bucket: int) -> tuple[str, str]:
    return counting(bucket), f"fairway:usage:moving:{bucket}"


def _sums(found: Mapping[str, bytes]) -> Sums:
    """Read what is ours of a bucket; what anybody else put there is left out."""
    sums = {}
    for field, value in found.items():
        try:
            sums[Metered.parse(field)] = min(MOST, max(0, int(value)))
        except ValueError:
            SWALLOWED.labels("usage.fields").inc()
    return sums


def _updates(sums: Sums) -> list[UpdateOne]:
    """Return what adds *sums* to the documents of their days."""
    documents: dict[tuple[OrgId, Any], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for metered, amount in sums.items():
        increments = documents[metered.org_id, metered.day]
        increments[metered.figure] += amount
        increments[f"hours.{metered.hour % 24}.{metered.figure}"] += amount
    return [
        UpdateOne(
            {"_id": id_of(org_id, day)},
            {"$inc": dict(increments), "$setOnInsert": {"org_id": org_id, "day": day}},
            upsert=True,
        )
        for (org_id, day), increments in documents.items()
    ]
