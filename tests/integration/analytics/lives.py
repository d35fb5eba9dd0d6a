"""Tickets that come, change and go at random in one organization, by every way there is, and random questions."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from common.analytics.asked import Asked
from common.clock import Clock
from common.ids import OrgId
from common.services import Services
from common.tickets.by_hand import TicketsByHand
from common.tickets.collections import TICKETS
from common.tickets.counting.folding import fold, fold_all
from tests.integration.conftest import caller_of
from tests.integration.tickets.syncing import KEPT_FOR, Record, Syncing

ZONES = (
    "UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
    "America/Havana", "Atlantic/Azores", "Asia/Beirut", "Africa/Casablanca",
)  # fmt: skip
MESSAGES = (
    "This is terrible, my card was stolen and I need it blocked immediately!!! URGENT",
    "Awful service, the worst delivery ever. My order is broken and I am furious, help NOW",
    "Thanks, everything works great.",
    "Where is my invoice for March?",
    "Please change the address of our subscription.",
    "The login page shows an error, nobody can sign in, this is an emergency! Terrible.",
)
STATUSES = ("open", "pending", "resolved", "closed")
CUSTOMERS = (None, "c1", "c2", "c.3", "$where", "c%2E3", "ünïcode \u202e", "")


@dataclass
class Life:
    """One organization's tickets over some weeks around *middle*."""

    services: Services
    org_id: OrgId
    seed: int
    middle: datetime = datetime(2026, 3, 29, tzinfo=UTC)
    reach: timedelta = timedelta(days=40)
    mark: str = ""
    sources: list[Syncing] = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.scope = self.services.scope(self.org_id)
        self.sources = [Syncing(self.scope) for _ in range(3)]
        self.hand = TicketsByHand(
            self.services.control, self.services.scope, _Now(self.sources[0]), kept_for=KEPT_FOR
        )
        self.who = caller_of(self.org_id)

    def go_on(self, steps: int) -> None:
        """Do so many things."""
        for _ in range(steps):
            self.random.choice([*[self.page] * 5, self.gone, *[self.by_hand] * 3, self.fold])()

    def instant(self) -> datetime:
        """Return one of the weeks; some are the very edges of quarter hours, cells and days."""
        at = self.middle + self.random.uniform(-1, 1) * self.reach
        match self.random.randrange(6):
            case 0:
                at = at.replace(hour=0, minute=0, second=0, microsecond=0)
            case 1:
                at = at.replace(hour=at.hour // 6 * 6, minute=0, second=0, microsecond=0)
            case 2:
                at = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
            case 3:
                at = at.replace(minute=0, second=0, microsecond=0) - timedelta(milliseconds=1)
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    def page(self) -> None:
        self.random.choice(self.sources).page(*(self.record() for _ in range(self.random.randrange(1, 30))))

    def record(self) -> Record:
        message = self.random.choice(MESSAGES)
        fields: Mapping[str, Any] = {
            "message": f"{message} word{self.random.randrange(60)}",
            "subject": self.mark or self.random.choice([None, "Refund", "Card stolen"]),
            "status": self.random.choice(STATUSES),
            "customer_id": self.mark or self.random.choice(CUSTOMERS),
            "created_at": self.instant(),
        }
        return Record(str(self.random.randrange(150)), fields)

    def gone(self) -> None:
        keys = {str(self.random.randrange(150)) for _ in range(20)}
        self.random.choice(self.sources).gone(*keys)

    def by_hand(self) -> None:
        is_gone = self.random.random() < 0.3
        where = {"deleted_at": {"$type": "date"} if is_gone else None}
        found = list(self.scope[TICKETS].find(where, projection=["_id"], sort=[("_id", 1)], limit=200))
        if not found:
            return
        ticket_id = self.random.choice(found)["_id"]
        if is_gone:
            self.hand.restore(self.who, ticket_id, revision=None)
        elif self.random.random() < 0.3:
            self.hand.delete(self.who, ticket_id, revision=None)
        else:
            fields = {"status": self.random.choice(STATUSES), "urgency": self.random.choice(["low", "high", None])}
            self.hand.change(self.who, ticket_id, fields, revision=None)

    def count(self) -> int:
        """Return how many tickets are there."""
        return self.scope[TICKETS].count_documents({"deleted_at": None})

    def fold(self) -> None:
        self.random.choice([fold, fold_all])(self.scope)

    def question(self) -> Asked:
        """Return a random range, zone and source."""
        one, other = sorted([self.instant(), self.instant()])
        if self.random.random() < 0.1:
            one, other = self.middle - 3 * self.reach, self.middle + 3 * self.reach
        source = self.random.choice([None, None, *(one.source_id for one in self.sources), "manual"])
        return Asked(one, max(other, one + timedelta(milliseconds=1)), self.random.choice(ZONES), source)


@dataclass
class _Now(Clock):
    """The time that the sources have."""

    of: Syncing

    def now(self) -> datetime:
        self.of.now += timedelta(seconds=1)
        return self.of.now

    def monotonic(self) -> float:
        return 0.0
