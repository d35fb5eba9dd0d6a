"""An organization's storage: what it uses of its quota, and telling its people when that gets little."""

from collections.abc import Callable
from dataclasses import dataclass

from common import events
from common.clock import Clock
from common.events import EventType
from common.files import quota
from common.files.quota import Level, Use
from common.ids import OrgId
from common.metering import kept
from common.tenancy.control import ControlPlane
from common.tenancy.scope import OrgScope

_EVENTS: dict[Level, EventType] = {"warning": "StorageWarning", "full": "StorageFull"}
_ACTOR = "platform"


@dataclass(frozen=True)
class Standing:
    """How an organization stands against its quota."""

    use: Use
    limit_bytes: int

    @property
    def level(self) -> Level:
        """Tell how near the quota is."""
        return self.use.level(self.limit_bytes)


class Storage:
    """Looks at what organizations store. *limit_of* tells what each may."""

    def __init__(
        self,
        control: ControlPlane,
        scope_of: Callable[[OrgId], OrgScope],
        limit_of: Callable[[OrgId], int],
        clock: Clock,
    ) -> None:
        self._control = control
        self._scope_of = scope_of
        self._limit_of = limit_of
        self._clock = clock

    def look(self, org_id: OrgId) -> Standing:
        """Return what is used now, and of how much."""
        return Standing(quota.look(self._scope_of(org_id)), self.limit_of(org_id))

    def limit_of(self, org_id: OrgId) -> int:
        """Return how many bytes an organization may store."""
        return self._limit_of(org_id)

    def tell(self, org_id: OrgId) -> Standing:
        """Return the same, and keep it for operators; where the level is another one, an event says so.

        Who notes the new level first says it, so a process that dies between the two leaves it unsaid.
        """
        found = self.look(org_id)
        kept.note_storage(self._control, org_id, found.use.used_bytes, self._clock.now())
        was, now = found.use.told, found.level
        if was != now and quota.tell(self._scope_of(org_id), was, now) and now in _EVENTS:
            used = {"used_bytes": found.use.used_bytes, "limit_bytes": found.limit_bytes}
            self._control.transaction(
                lambda session: events.append(
                    self._control, session, self._clock, org_id, _EVENTS[now], actor=_ACTOR, data=used
                )
            )
        return found
