"""What is kept of the counts is held against the tickets: what drifted is found, told and set right."""

import random
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import pytest

from common.analytics.verify_rollups import VerifyRollups
from common.errors import Conflict, Stale
from common.jobs.leases import Claimed
from common.services import Services
from common.tenancy.scope import OrgScope
from common.tickets.counting import verifying
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.folding import fold_all
from common.tickets.counting.packing import pack
from common.tickets.counting.sums import Rollup, packed
from common.tickets.writing import Overtaken
from tests.integration.analytics.lives import Life
from tests.integration.conftest import Slot, caller_of, make_organization
from tests.integration.tickets.counted import kept_counts, recounted
from workers.context import Context
from workers.runner import Outcome, run

CLEAN = {"drifts": 0, "repaired": 0, "drifted": []}


@pytest.fixture
def life(services: Services) -> Life:
    """Return an organization that has some hundred tickets."""
    made = Life(services, make_organization(services), 3)
    made.go_on(25)
    return made


def verify(services: Services, slot: Slot, life: Life, *, repair: bool = True) -> dict[str, Any]:
    services.submit(caller_of(life.org_id), VerifyRollups(repair=repair))
    record = slot.step("analytics")
    assert record is not None
    assert record.state == "succeeded", record.error
    found: dict[str, Any] = record.result
    return found


def spoil_a_count(scope: OrgScope, chance: random.Random) -> None:
    one = chance.choice(list(scope[ROLLUPS].find({"span": 1})))
    rollup = Rollup.restored(one)
    cell = chance.choice(list(rollup.cells.values()))
    group = chance.choice([counts for counts in cell.values() if counts])
    group[chance.choice(list(group))] += 1
    scope[ROLLUPS].update_one({"_id": one["_id"]}, {"$set": rollup.stored()})


def lose_a_rollup(scope: OrgScope, chance: random.Random) -> None:
    scope[ROLLUPS].delete_one({"_id": chance.choice(list(scope[ROLLUPS].find()))["_id"]})


def lose_all(scope: OrgScope, _: random.Random) -> None:
    scope[ROLLUPS].delete_many({})


def lose_a_delta(scope: OrgScope, chance: random.Random) -> None:
    scope[DELTAS].delete_one({"_id": chance.choice(list(scope[DELTAS].find()))["_id"]})


def make_one_up(scope: OrgScope, _: random.Random) -> None:
    cells = {"2": {"counts": {"total": 3}, "keywords": pack({"ghost": 3})}}
    scope[ROLLUPS].insert_one({"_id": "made-up", "source_id": "ghost", "span": 1, "block": 4_000, "cells": cells})


def spoil_quarters(scope: OrgScope, chance: random.Random) -> None:
    one = chance.choice(list(scope[ROLLUPS].find({"span": 8})))
    quarters = packed({**Rollup.restored(one).quarters, 700: 77})
    scope[ROLLUPS].update_one({"_id": one["_id"]}, {"$set": {"quarters": quarters}})


SPOILERS = (spoil_a_count, lose_a_rollup, lose_all, lose_a_delta, make_one_up, spoil_quarters)


def test_what_is_right_is_left_as_it_is(services: Services, slot: Slot, life: Life) -> None:
    fold_all(life.scope)
    before = list(life.scope[ROLLUPS].find(sort=[("_id", 1)]))

    found = verify(services, slot, life)

    assert found == CLEAN | {"tickets": found["tickets"]}
    assert found["tickets"] == life.count() > 100
    assert list(life.scope[ROLLUPS].find(sort=[("_id", 1)])) == before


def test_octets_of_many_tickets_are_counted_by_the_day(
    services: Services, slot: Slot, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "MANY", 1)
    lose_all(life.scope, life.random)

    assert verify(services, slot, life)["repaired"] > 0
    assert verify(services, slot, life) == CLEAN | {"tickets": life.count()}
    assert kept_counts(life.scope) == recounted(life.scope)


@pytest.mark.parametrize("spoil", SPOILERS)
def test_a_drift_is_found_told_and_set_right(
    services: Services, slot: Slot, life: Life, spoil: Callable[[OrgScope, random.Random], None]
) -> None:
    fold_all(life.scope)
    life.page()
    assert kept_counts(life.scope) == recounted(life.scope)
    spoil(life.scope, life.random)
    assert kept_counts(life.scope) != recounted(life.scope)

    told = verify(services, slot, life, repair=False)
    assert told["drifts"] > 0 == told["repaired"]
    assert told["drifted"][0].keys() == {
        "source_id", "span", "block", "cell", "group", "key", "kept", "counted",
    }  # fmt: skip
    repaired = verify(services, slot, life)
    assert repaired["repaired"] == repaired["drifts"] > 0
    assert verify(services, slot, life) == CLEAN | {"tickets": told["tickets"]}
    assert kept_counts(life.scope) == recounted(life.scope)


class Death(BaseException):
    """The worker is gone."""


class Dying(Context):
    """Dies once it has written so often."""

    writes = 0

    def write(self, *given: Any, **more: Any) -> Any:
        if self.writes == 0:
            raise Death
        self.writes -= 1
        return super().write(*given, **more)


def test_it_goes_on_where_it_was_killed(services: Services, slot: Slot, life: Life) -> None:
    lose_all(life.scope, life.random)
    services.submit(caller_of(life.org_id), VerifyRollups())
    member = slot.take("analytics")
    assert member is not None
    deaths = 0
    ended: Outcome | None = None
    while ended is None:
        claimed: Claimed | None = slot.claim(member)
        assert claimed is not None
        context = Dying(services, claimed)
        context.writes = 5
        try:
            ended = run(claimed, context)
        except Death:
            deaths += 1
            services.jobs.give_back(claimed)

    assert deaths > 3
    assert ended.ending == "succeeded", ended
    assert ended.result["tickets"] == life.count()
    assert kept_counts(life.scope) == recounted(life.scope)


def test_others_write_and_fold_meanwhile(services: Services, slot: Slot, life: Life) -> None:
    lose_all(life.scope, life.random)
    stop = Event()

    def write(seed: int) -> None:
        other = Life(services, life.org_id, seed)
        while not stop.is_set():
            with suppress(Overtaken, Stale, Conflict):  # both change the same tickets
                other.go_on(3)

    others = [Thread(target=write, args=(number,)) for number in (11, 12)]
    for one in others:
        one.start()
    try:
        for _ in range(3):
            verify(services, slot, life)
    finally:
        stop.set()
        for one in others:
            one.join()

    assert verify(services, slot, life) == CLEAN | {"tickets": life.count()}
    assert kept_counts(life.scope) == recounted(life.scope)
