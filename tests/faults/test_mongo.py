"""MongoDB dies, freezes and can't be reached: what it acknowledged stays, and everything goes on from there."""

import pytest

from tests.faults.fleet import LEASE_S, WORK, Fleet


def test_killed_and_restarted(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("mongod killed and restarted"):
        fleet.mongo.kill()
        fleet.mongo.start()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_killed_five_times(fleet: Fleet) -> None:
    for _ in range(5):
        fleet.load()
        with fleet.fault("mongod killed five times under load"):
            fleet.mongo.kill()
            fleet.mongo.start()

    fleet.settle(120)
    fleet.check()


@pytest.mark.slow
def test_frozen_for_longer_than_a_lease(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("mongod frozen past every lease"):
        fleet.mongo.freeze()
        fleet.pass_by(3 * LEASE_S)
        fleet.mongo.thaw()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_half_open_connections(fleet: Fleet) -> None:
    fleet.load()
    with fleet.fault("half-open connections to MongoDB"):
        fleet.to_mongo.cut()
        fleet.pass_by(3 * LEASE_S)
        fleet.to_mongo.mend()

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_reset_connections(fleet: Fleet) -> None:
    fleet.load()
    for _ in range(5):
        with fleet.fault("every connection to MongoDB reset"):
            fleet.to_mongo.reset()
        fleet.under_way(2)

    fleet.settle()
    fleet.check()


@pytest.mark.slow
def test_a_slow_network(fleet: Fleet) -> None:
    with fleet.fault("0.1 s of delay to MongoDB, each way"):
        fleet.to_mongo.delay_s = 0.1
        fleet.submit(WORK, 10)
        fleet.settle(120)
    fleet.to_mongo.delay_s = 0.0

    fleet.check()
