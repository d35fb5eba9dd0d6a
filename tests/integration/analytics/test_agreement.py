"""Rollups against the plain count of all tickets: whatever happened to them, whatever is asked, no difference."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from common.analytics import plain, reading
from common.analytics.asked import Asked
from common.services import Services
from common.tickets.counting import sums
from tests.integration.analytics.lives import Life
from tests.integration.conftest import make_organization

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


def test_both_ways_agree(services: Services) -> None:
    tally = agree(services, lives=3, rounds=12, seed=1)
    print(
        f"\n{tally['ranges']} ranges, {tally['values']} values, {tally['tickets']} tickets counted; differences 0"
    )
    assert tally["tickets"] > 1_000


def test_both_ways_agree_where_cells_are_crowded(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "CROWDED_BYTES", 60)
    monkeypatch.setattr(sums, "LOOKED_AT_FROM", 3)
    monkeypatch.setattr(reading, "FEW", 2)

    agree(services, lives=3, rounds=6, seed=50)


@pytest.mark.slow
def test_both_ways_agree_in_many_lives(services: Services) -> None:
    tally = agree(services, lives=60, rounds=25, seed=1_000)
    print(
        f"\n{tally['ranges']} ranges, {tally['values']} values, {tally['tickets']} tickets counted; differences 0"
    )


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
