"""The table of tiers: how much each gives to an organization. One place; operators change it while all runs."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from common.clock import Clock
from common.errors import NotFound, Stale
from common.metrics import SWALLOWED
from common.tenancy.control import ControlPlane

Tier = Literal["free", "standard", "enterprise"]
PLATFORM_TIER = "platform"
REMEMBERED_S = 5.0
_GB = 1024**3
_ID = "tiers"


@dataclass(frozen=True)
class Allowance:
    """What an organization of a tier may use.

    *weight* is its share of busy slots against others', *running* how many jobs it may run at a time before slots
    are only lent to it, *waiting* how many it may have accepted and not begun.
    """

    weight: int
    running: int
    waiting: int
    requests_a_minute: int
    requests_an_hour: int
    storage_bytes: int


DEFAULTS: Mapping[str, Allowance] = {
    "free": Allowance(1, 2, 1_000, 100, 1_000, 10 * _GB),
    "standard": Allowance(4, 8, 100_000, 600, 20_000, 100 * _GB),
    "enterprise": Allowance(16, 32, 1_000_000, 6_000, 200_000, 1024 * _GB),
    PLATFORM_TIER: Allowance(4, 8, 1_000_000, 6_000, 200_000, 1024 * _GB),
}
"""What holds until an operator changes it. The platform's own work has a lane and a tier like any other's."""

MOST = 10**12


class Tiers:
    """The table as MongoDB has it, remembered for five seconds; what nobody changed is as `DEFAULTS` say."""

    def __init__(self, control: ControlPlane, clock: Clock) -> None:
        self._state = control.platform_state
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[str, Allowance] | None = None
        self._read_again_at = 0.0

    def __getitem__(self, tier: str) -> Allowance:
        """Return what *tier* gives. Raises `KeyError`."""
        return self.all()[tier]

    def all(self) -> Mapping[str, Allowance]:
        """Return the whole table; while MongoDB does not answer, as it was last known."""
        if self._known is None:
            with self._lock:  # nobody goes by the defaults while somebody reads what holds
                return self._known or self._read()
        if self._clock.monotonic() >= self._read_again_at and self._lock.acquire(blocking=False):
            try:
                return self._read()
            finally:
                self._lock.release()
        return self._known

    def look(self, tier: str) -> tuple[Allowance, int]:
        """Return what *tier* gives as MongoDB has it now, and how often it was changed. Raises `NotFound`."""
        if tier not in DEFAULTS:
            raise NotFound("There is no such tier.")
        found = self._state.find_one({"_id": _ID}) or {}
        return _over(DEFAULTS, found)[tier], found.get(tier, {}).get("version", 0)

    def change(self, tier: str, changes: Mapping[str, int], *, was: int | None = None) -> Allowance:
        """Change some figures of *tier*; *changes* names fields of `Allowance`.

        Raises `NotFound`, or `Stale` if it was changed more often than *was* says.
        """
        if tier not in DEFAULTS:
            raise NotFound("There is no such tier.")
        known = {field.name for field in fields(Allowance)}
        wanted = {f"{tier}.{name}": value for name, value in changes.items() if name in known}
        same: dict[str, Any] = {} if was is None else {f"{tier}.version": {"$in": [was or None, was]}}
        update = {"$inc": {f"{tier}.version": 1}} | ({"$set": wanted} if wanted else {})
        try:
            found = self._state.find_one_and_update(
                {"_id": _ID, **same}, update, upsert=not was, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # the table is there, in another state
            found = None
        if found is None:
            raise Stale("The tier has changed since you read it. Read it again.")
        self._known = known_now = _over(DEFAULTS, found)
        return known_now[tier]

    def _read(self) -> Mapping[str, Allowance]:
        self._read_again_at = self._clock.monotonic() + REMEMBERED_S
        try:
            self._known = _over(DEFAULTS, self._state.find_one({"_id": _ID}) or {})
        except PyMongoError:
            SWALLOWED.labels("tiers").inc()
        return self._known or DEFAULTS


def _over(table: Mapping[str, Allowance], changes: Any) -> Mapping[str, Allowance]:
    known = {field.name for field in fields(Allowance)}
    return {
        tier: replace(one, **{name: value for name, value in changes.get(tier, {}).items() if name in known})
        for tier, one in table.items()
    }


def shown(allowance: Allowance) -> dict[str, int]:
    """Return the figures of *allowance* by name."""
    return asdict(allowance)
