"""Moving what was counted from Redis to MongoDB: once, wherever whoever moves it dies.

    counting ──take──▶ moving ──one transaction: its id, and all its sums──▶ MongoDB ──▶ forget

A batch keeps its id from its first count on. One that stands in Redis although it was moved (a death before it was
forgotten, a Redis that came back as it was a second ago) is known by it, and forgotten.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
from common.metering.kept import id_of
from common.metering.meter import BUCKETS, counting
from common.metrics import SWALLOWED
from common.tenancy.control import ControlPlane

_STATE = "usage"
log = get_logger()


class Mover:
    """Moves the sums of all organizations; any number of them may do so at once."""

    def __init__(self, control: ControlPlane, client: "redis.Redis", clock: Clock) -> None:
        self._control = control
        self._script = Script(client, __file__)
        self._clock = clock

    def once(self) -> set[OrgId]:
        """Move all that is there; return whose it was. Raises `Unavailable` or `PyMongoError`, and may go on then."""
        begun_at = self._clock.now()
        moved = set[OrgId]()
        for bucket in range(BUCKETS):
            while sums := self._take(bucket):
                moved |= self._move(bucket, sums)
                if self._counted_after(sums, begun_at.timestamp()):
                    break
        self._control.platform_state.update_one({"_id": _STATE}, {"$max": {"moved_at": begun_at}}, upsert=True)
        return moved
