"""A meter and what moves its sums, on a clock that stands."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from common.clock import SystemClock
from common.ids import OrgId
from common.metering import kept
from common.metering.figures import DAY, Figure
from common.metering.meter import Meter
from common.metering.mover import Mover
from common.services import Services

AT = datetime(2026, 11, 26, 9, 59, 59, tzinfo=UTC)
ACME, OTHER = OrgId("acme"), OrgId("other")


@dataclass
class Still(SystemClock):
    """A clock that stands until it is set."""

    at: datetime = AT

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self.at

    def forward(self, by: timedelta) -> None:
        """Set it forward."""
        self.at += by


@pytest.fixture
def still() -> Still:
    """Return the clock."""
    return Still()


@pytest.fixture
def meter(services: Services, still: Still) -> Meter:
    """Return the meter of a process."""
    return Meter(services.shared, still)


@pytest.fixture
def mover(services: Services, still: Still) -> Mover:
    """Return what moves."""
    return Mover(services.control, services.shared, still)


def of_day(services: Services, org_id: OrgId, figure: Figure = "requests", day: datetime = AT) -> int:
    """Return what is kept of a figure on the day of *day*."""
    days = kept.days_of(services.control, org_id, day.replace(hour=0, minute=0, second=0), day + DAY)
    return sum(one.sums.get(figure, 0) for one in days if one.day.date() == day.date())
