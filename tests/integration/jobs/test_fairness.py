"""Shares follow weights on used time, whatever the lengths of jobs; nobody's crowd makes another wait."""

import random
from collections.abc import Iterator

import pytest
import redis

from common.config import Settings
from common.ids import OrgId
from common.jobs.lanes import Lanes
from tests.integration.jobs.fair_slots import QUEUE, FairSlots, jain

TIERS = {"free": "1 2", "standard": "4 8", "enterprise": "16 32"}


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(settings.broker_url.get_secret_value())
    client.flushdb()
    yield client
    client.close()


def lanes_of(client: redis.Redis, **tiers: str) -> Lanes:
    """Return lanes where the organizations are of these tiers, and others of none."""
    lanes = Lanes(client, tier_of=lambda org_id: tiers.get(org_id, ""))
    lanes.lay_down(TIERS, {}, [])
    return lanes


def unequal(seed: int) -> "random.Random":
    return random.Random(seed)


def test_shares_of_used_time_follow_the_weights_over_a_thousand_jobs_of_unequal_lengths(
    client: redis.Redis,
) -> None:
    draw = unequal(1)
    lanes = lanes_of(client, a="free", b="standard", c="enterprise")
    slots = FairSlots(lanes, 4, lambda org, _: {"a": 90, "b": 20, "c": 45}[org] * draw.uniform(0.2, 1.8))
    for org in "abc":
        slots.ask(org, 2_000)

    slots.run(jobs=1_000)

    used = slots.used()
    total = sum(used.values())
    for org, weight in (("a", 1), ("b", 4), ("c", 16)):
        assert used[org] / total == pytest.approx(weight / 21, rel=0.05)


def test_one_that_comes_late_gets_its_share_from_then_on_and_no_more(client: redis.Redis) -> None:
    slots = FairSlots(lanes_of(client), 2, lambda org, _: 30 if org == "early" else 10)
    slots.ask("early", 3_000)
    slots.run(until_ms=10_000)
    before = slots.used()["early"]

    slots.ask("late", 3_000)
    slots.run(until_ms=20_000)

    assert slots.used()["late"] == pytest.approx(slots.used()["early"] - before, rel=0.05)


def test_going_idle_earns_no_credit(client: redis.Redis) -> None:
    slots = FairSlots(lanes_of(client), 2, lambda _org, _number: 10)
    slots.ask("idler", 10)
    slots.ask("busy", 5_000)
    slots.run(until_ms=10_000)  # the idler has long been done
    before = slots.used()

    slots.ask("idler", 5_000)
    slots.run(until_ms=15_000)

    used = slots.used()
    assert used["idler"] - before["idler"] == pytest.approx(used["busy"] - before["busy"], rel=0.05)


def test_equal_tenants_get_equal_shares(client: redis.Redis) -> None:
    draw = unequal(2)
    slots = FairSlots(lanes_of(client), 4, lambda org, _: (5 + 3 * int(org)) * draw.uniform(0.5, 1.5))
    for number in range(20):
        slots.ask(str(number), 1_000)

    slots.run(until_ms=20_000)

    assert jain(list(slots.used().values())) >= 0.99


def test_of_a_hundred_tenants_with_skewed_loads_none_is_slowed_beyond_its_fair_share(client: redis.Redis) -> None:
    draw, slots_count, until_ms = unequal(3), 4, 10_000
    loads = {str(number): max(1, 2_000 // (number + 1)) for number in range(100)}
    lengths = {org: [draw.choice((5.0, 10.0, 40.0)) for _ in range(count)] for org, count in loads.items()}
    slots = FairSlots(lanes_of(client), slots_count, lambda org, number: lengths[org][number])
    for org, count in loads.items():
        slots.ask(org, count)

    slots.run(until_ms=until_ms)

    fair = fair_shares({org: sum(one) for org, one in lengths.items()}, slots_count * until_ms)
    used = slots.used()
    worst = max(fair[org] / max(used[org], 1) for org in loads)
    assert worst <= 1.1, sorted((round(fair[org] / max(used[org], 1), 2), org) for org in loads)[-5:]
    assert sum(used.values()) == pytest.approx(slots_count * until_ms, rel=0.01)


def fair_shares(wanted: dict[str, float], there_is: float) -> dict[str, float]:
    """Share what there is equally; who wants less has all of it, and the others share the rest (max-min)."""
    shares: dict[str, float] = {}
    left = dict(wanted)
    while left:
        equal = there_is / len(left)
        modest = {org: want for org, want in left.items() if want <= equal}
        if not modest:
            return shares | dict.fromkeys(left, equal)
        shares |= modest
        there_is -= sum(modest.values())
        left = {org: want for org, want in left.items() if org not in modest}
    return shares


def test_one_job_behind_ten_thousand_of_another_waits_for_one_job_at_most(client: redis.Redis) -> None:
    slots = FairSlots(lanes_of(client), 2, lambda _org, _number: 20)
    slots.ask("crowd", 10_000)
    slots.run(until_ms=205)

    for number in range(12):
        slots.ask(f"single {number}", 1)
        slots.run(until_ms=slots.now + 57)

    waits = [slots.tenants[OrgId(f"single {number}")].waits[0] for number in range(12)]
    assert max(waits) <= 20 * 1.1
    assert client.zcard(f"fairway:lane:{QUEUE}:ready") <= 1


def test_a_cap_holds_while_others_wait_and_idle_slots_are_lent(client: redis.Redis) -> None:
    slots = FairSlots(lanes_of(client), 8, lambda _org, _number: 10)
    slots.ask("alone", 100)
    slots.run(until_ms=35)
    assert slots.most_held[OrgId("alone")] == 8  # of a cap of 2: nobody else wants the others

    for org in "abc":
        slots.ask(org, 100)
    slots.run(until_ms=45)
    slots.most_held.clear()
    slots.run(until_ms=200)

    assert slots.most_held == {OrgId(org): 2 for org in ("alone", *"abc")}


def test_a_kinds_cap_is_never_lent_beyond(client: redis.Redis) -> None:
    lanes = lanes_of(client)
    lanes.lay_down(TIERS, {"cap:probe.rare": "3"}, [])
    slots = FairSlots(lanes, 8, lambda _org, _number: 10)
    for org in ("a", "b", "c"):
        slots.ask(org, 30, "probe.rare")
    slots.ask("d", 20)

    slots.run(until_ms=9)
    assert client.scard("fairway:lane:all:of:probe.rare") == 3
    slots.run()

    assert [slots.tenants[OrgId(org)].served for org in "abcd"] == [30, 30, 30, 20]
    assert client.exists("fairway:lane:all:of:probe.rare") == 0


@pytest.mark.parametrize("org", ["*", "a:b", "{x}", "a b", "%3A", "ä😀", "x" * 300, "?[a]"])
def test_a_name_is_only_a_name(client: redis.Redis, org: str) -> None:
    lanes = lanes_of(client)
    slots = FairSlots(lanes, 1, lambda _org, _number: 10)
    slots.ask("other", 3)
    slots.ask(org, 3)
    lanes.replace(OrgId(org), [QUEUE], tier="enterprise")

    assert [one.org_id for one in lanes.line(QUEUE, "ready", 0, 10)].count(OrgId(org)) == 1
    assert lanes.waiting(OrgId(org), [QUEUE]) == (3, 0)
    slots.run()

    assert slots.tenants[OrgId(org)].served == slots.tenants[OrgId("other")].served == 3
    assert lanes.waiting(OrgId(org), [QUEUE]) == (0, 0)


def test_nothing_of_an_organization_is_left_when_all_is_done(client: redis.Redis) -> None:
    slots = FairSlots(lanes_of(client, a="standard"), 3, lambda _org, _number: 10)
    for org in "abc":
        slots.ask(org, 50)

    slots.run()

    left = {key.decode() for key in client.keys("fairway:lane:*")}
    assert left <= {
        f"fairway:lane:{part}"
        for part in (f"{QUEUE}:counters", f"{QUEUE}:cost", f"{QUEUE}:tags", "all:tiers", "all:tier_of")
    }
