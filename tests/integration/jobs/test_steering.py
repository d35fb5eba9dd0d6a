"""What operators lay down holds wherever Redis was when they did it; only who has too many waiting is refused."""

import threading
from datetime import timedelta

import pytest
from common.probe.be_quick import BeQuick
from pymongo.errors import ServerSelectionTimeoutError

from common import fleet
from common.audit import Actor
from common.caller import Caller
from common.config import Settings
from common.errors import NotFound, Stale, TooMany
from common.ids import PLATFORM, OrgId, new_id
from common.jobs.sweep import Sweep
from common.services import Services
from common.tenancy.registry import Organization
from common.tenancy.tiers import DEFAULTS, PLATFORM_TIER, Tier
from tests.integration.conftest import Slot, caller_of, make_organization

QUEUE = "tickets"


def give(services: Services, was: Organization, tier: Tier) -> None:
    """Give an organization another tier, as an operator does."""
    fleet.set_tier(services, Actor("test", "test"), was, tier)


@pytest.fixture
def without_redis(settings: Settings) -> Services:
    """Return the services of a process that can't reach Redis."""
    url = type(settings.broker_url)("redis://127.0.0.1:1/0")
    return Services(settings.model_copy(update={"broker_url": url}))


@pytest.fixture
def sweep(services: Services) -> Sweep:
    made = services.sweep()
    made.once()
    return made


def test_a_pause_made_without_redis_holds_after_the_next_sweep(
    services: Services, without_redis: Services, caller: Caller, sweep: Sweep, slot: Slot
) -> None:
    services.submit(caller, BeQuick())

    without_redis.steering.pause("kind", BeQuick.name, by="operator")
    sweep.once()

    assert slot.take() is None
    without_redis.steering.resume("kind", BeQuick.name)
    sweep.once()
    services.lanes.beat(QUEUE, "w", 1, alive_s=5, hold_s=30)
    assert slot.take() is not None


def test_a_tier_given_without_redis_holds_after_the_next_sweep(
    services: Services, without_redis: Services, caller: Caller, sweep: Sweep
) -> None:
    services.submit(caller, BeQuick())
    was = services.registry.get(caller.org_id)

    give(without_redis, was, "enterprise")
    services.registry.get(caller.org_id, fresh=True)
    sweep.once()

    assert services.broker.hget("fairway:lane:all:tier_of", caller.org_id) == b"enterprise"


def test_a_tier_is_not_given_to_what_has_changed_or_is_not_there(services: Services, caller: Caller) -> None:
    was = services.registry.get(caller.org_id)
    give(services, was, "standard")

    with pytest.raises(Stale):
        give(services, was, "enterprise")
    services.control.organizations.delete_many({})
    with pytest.raises(NotFound):
        give(services, was, "enterprise")


def test_pausing_twice_is_one_pause(services: Services) -> None:
    first = services.steering.pause("queue", QUEUE, by="one")

    assert services.steering.pause("queue", QUEUE, by="another") == first
    assert services.steering.pauses() == [first]


def test_a_hundred_that_wait_for_a_paused_kind_all_stand_in_line_again(services: Services, slot: Slot) -> None:
    callers = [caller_of(make_organization(services, f"Org {number}")) for number in range(60)]
    services.steering.pause("kind", BeQuick.name, by="operator")
    for one in callers:
        services.submit(one, BeQuick())
    assert slot.take() is None
    assert services.lanes.look(QUEUE).ready == 0

    services.steering.resume("kind", BeQuick.name)

    assert services.lanes.look(QUEUE).ready == 60


def test_the_platform_has_a_lane_and_a_tier_of_its_own(services: Services, slot: Slot) -> None:
    operator = Caller(org_id=PLATFORM, user_id="operator", role="operator", request_id="a-request")

    services.submit(operator, BeQuick())

    assert services.broker.hget("fairway:lane:all:tier_of", PLATFORM) == PLATFORM_TIER.encode()
    assert slot.step().state == "succeeded"


def test_the_table_is_kept_while_mongodb_does_not_answer(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.tiers.change("free", {"running": 5})
    monkeypatch.setattr(services.tiers, "_read_again_at", 0.0)

    def away(*_: object, **__: object) -> None:
        raise ServerSelectionTimeoutError("away")

    monkeypatch.setattr(services.control.platform_state, "find_one", away, raising=False)

    assert services.tiers["free"].running == 5
    assert services.tiers["standard"] == DEFAULTS["standard"]


def test_nobody_goes_by_the_defaults_while_the_table_is_read_first(services: Services) -> None:
    services.tiers.change("free", {"running": 5})
    fresh = type(services.tiers)(services.control, services.clock)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(fresh["free"].running)) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert found == [5] * 16


def test_what_waits_for_a_time_counts_as_waiting_and_what_runs_does_not(
    services: Services, caller: Caller, slot: Slot
) -> None:
    services.tiers.change("free", {"waiting": 3})
    services.submit(caller, BeQuick(), run_at=services.clock.now() + timedelta(hours=1))
    services.submit(caller, BeQuick())
    services.submit(caller, BeQuick())

    with pytest.raises(TooMany, match="3 jobs"):
        services.submit(caller, BeQuick())
    slot.claim(slot.take())

    assert services.submit(caller, BeQuick()).state == "queued"
    other = caller_of(make_organization(services, "Other"))
    assert services.submit(other, BeQuick()).state == "queued"


def test_without_redis_nothing_is_refused(without_redis: Services, services: Services, caller: Caller) -> None:
    services.tiers.change("free", {"waiting": 1})

    states = [without_redis.submit(caller, BeQuick()).state for _ in range(3)]

    assert states == ["queued"] * 3


def test_who_is_not_made_yet_has_no_tier_and_the_room_of_a_free_one(services: Services) -> None:
    nobody = OrgId(new_id())

    assert services.steering.tier_of(nobody) == ""
    assert services.steering.allowance_of(nobody) == DEFAULTS["free"]
