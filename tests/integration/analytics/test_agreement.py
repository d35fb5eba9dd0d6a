"""Rollups against the plain count of all tickets: whatever happened to them, whatever is asked, no difference."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.analytics import plain, reading
from common.analytics.asked import Asked
from common.ids import OrgId
from common.services import Services
from common.tickets.counting import sums
from common.tickets.counting.collections import ROLLUPS
from common.tickets.counting.folding import fold_all
from tests.integration.analytics.lives import Life
from tests.integration.conftest import make_organization
from tests.integration.tickets.syncing import Syncing, record

MIDDLES = (
    datetime(2026, 3, 29, tzinfo=UTC),  # clocks go forward in Europe
    datetime(2026, 11, 1, tzinfo=UTC),  # and back in America
    datetime(2011, 12, 30, tzinfo=UTC),  # Samoa leaves a day out
)


def both(services: Services, life: Life, asked: Asked) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the statistics by the two ways, as far as both tell."""
    found = services.statistics.of_tickets(life.org_id, asked)
    for name in ("hourly_trend", "daily_trend"):
        found[name] = found[name] and [one for one in found[name] if one["total"]]
    if found["hourly_trend"]:
        for one in found["hourly_trend"]:  # the server writes no colon
            one["from"] = one["from"][:22] + one["from"][23:]
    counted = plain.of_tickets(life.scope, asked)
    return {name: found[name] for name in counted}, counted


def compare(services: Services, life: Life, questions: int, tally: Counter[str]) -> None:
    for _ in range(questions):
        asked = life.question()
        found, counted = both(services, life, asked)
        for name, value in counted.items():
            if name == "hourly_trend" and value is not None:
                value.sort(key=lambda one: one["from"])
                found[name].sort(key=lambda one: one["from"])
            assert found[name] == value, (name, asked)
        tally["ranges"] += 1
        tally["values"] += len(counted)
        tally["tickets"] += counted["total"]


def agree(services: Services, *, lives: int, rounds: int, seed: int) -> Counter[str]:
    tally = Counter[str]()
    for number in range(lives):
        life = Life(services, make_organization(services), seed + number, MIDDLES[number % len(MIDDLES)])
        for _ in range(rounds):
            life.go_on(8)
            compare(services, life, 6, tally)
    return tally


def tell(tally: Counter[str]) -> None:
    ranges, values, tickets = (tally[name] for name in ("ranges", "values", "tickets"))
    print(f"\n{ranges} ranges, {values} values, {tickets} tickets counted; differences 0")


def every_group(services: Services) -> Iterator[Any]:
    """Go through the groups of the cells of all organizations' rollups."""
    for organization in services.control.organizations.find({}, ["_id"]):
        for rollup in services.scope(organization["_id"])[ROLLUPS].find():
            for cell in rollup["cells"].values():
                yield from cell.values()


def test_both_ways_agree(services: Services) -> None:
    tally = agree(services, lives=3, rounds=12, seed=1)
    tell(tally)
    assert tally["tickets"] > 1_000


@pytest.mark.parametrize(
    ("tz", "at"),
    [
        ("America/St_Johns", datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),  # from 0:01 back into the day before
        ("America/St_Johns", datetime(2011, 3, 13, 3, 31, tzinfo=UTC)),
        ("America/Moncton", datetime(2006, 4, 2, 4, 1, tzinfo=UTC)),
        ("Asia/Gaza", datetime(2011, 3, 31, 22, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 0, tzinfo=UTC)),  # by half an hour
        ("Pacific/Apia", datetime(2011, 12, 30, 10, 0, tzinfo=UTC)),  # by a day
    ],
)
def test_both_ways_agree_around_a_change_of_the_clock(
    services: Services, org_id: OrgId, tz: str, at: datetime
) -> None:
    source = Syncing(services.scope(org_id))
    instants = [at + timedelta(seconds=30 * number) for number in range(-200, 200)]
    source.page(*(record(str(number), created_at=one) for number, one in enumerate(instants)))
    life = Life(services, org_id, 1, at)

    for start, end in ((-2, 2), (-0.011, 2), (-2, 0.011), (-0.03, 0.03), (-500, 500)):
        asked = Asked(at + timedelta(hours=start), at + timedelta(hours=end), tz)
        found, counted = both(services, life, asked)
        by_hour = {one["from"]: one["total"] for one in found["hourly_trend"]}
        assert by_hour == {one["from"]: one["total"] for one in counted["hourly_trend"]}, asked
        assert found["daily_trend"] == counted["daily_trend"], asked
        assert sum(by_hour.values()) == found["total"] == counted["total"] > 0
        fold_all(life.scope)


def test_both_ways_agree_where_cells_are_crowded(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "CROWDED_BYTES", 60)
    monkeypatch.setattr(sums, "LOOKED_AT_FROM", 3)
    monkeypatch.setattr(reading, "FEW", 2)

    tally = agree(services, lives=3, rounds=6, seed=50)

    crowded = [one for one in every_group(services) if one is None]
    assert tally["tickets"] > 500
    assert len(crowded) > 100


@pytest.mark.slow
def test_both_ways_agree_in_many_lives(services: Services) -> None:
    tally = agree(services, lives=60, rounds=25, seed=1_000)
    tell(tally)
    assert tally["ranges"] == 60 * 25 * 6
    assert tally["tickets"] > 100_000


def test_nothing_of_another_organization_shows(services: Services) -> None:
    canary = Life(services, make_organization(services, "Canary"), 7, mark="canary")
    mine = Life(services, make_organization(services, "Mine"), 8)
    for life in (canary, mine):
        life.go_on(40)

    for _ in range(20):
        asked = mine.question()
        assert "canary" not in str(services.statistics.of_tickets(mine.org_id, asked))
        assert "canary" not in str(plain.of_tickets(mine.scope, asked))
    whole = Asked(canary.middle - canary.reach * 2, canary.middle + canary.reach * 2)
    shown = services.statistics.of_tickets(canary.org_id, whole)
    assert shown["top_keywords"][0]["keyword"] == shown["at_risk_customers"][0]["customer_id"] == "canary"
