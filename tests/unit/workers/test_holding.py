"""What a child holds, and what the one before it in its slot held."""

import threading

import pytest

from workers import holding
from workers.holding import Holding
from workers.slots import Slots

OF_THE_DEAD = {"pid": 4_194_305, "carrier": "1-1", "leases": [{"token": "a", "ends_at": None}]}
BURIED = {"pid": 0, "carrier": None, "leases": []}


def test_a_child_waits_until_what_the_one_before_held_is_given_back() -> None:
    slot = Slots()[0]
    slot.held.post(OF_THE_DEAD)
    seen = []

    def bury() -> None:
        seen.append(slot.held.read())
        slot.held.post(BURIED)

    parent = threading.Timer(0.1, bury)
    parent.start()
    Holding(slot)
    parent.join()

    assert seen == [OF_THE_DEAD]  # it was not overwritten before


def test_a_child_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "BURIED_WITHIN_S", 0.05)
    slot = Slots()[0]
    slot.held.post(OF_THE_DEAD)

    Holding(slot)

    assert slot.held.read()["leases"] == []
