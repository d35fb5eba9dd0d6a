"""Databases fill in their order: a warning at four fifths, full at nine tenths, and then the next one."""

import threading
from typing import Any

import pytest
from flask import Flask

from common.config import Settings
from common.ids import PLATFORM, OrgId
from common.metrics import CAPACITY
from common.services import Services
from common.tickets.collections import TICKETS
from tests.integration.conftest import Slot, token_of
from web.app import create_app
from workers import runner

LIMIT = 10
PASSWORD = "a long password of hers"


@pytest.fixture
def small(settings: Settings) -> Any:
    """Return services whose databases take ten dedicated organizations each."""
    runner.discover()
    made = Services(settings.model_copy(update={"database_organizations_max": LIMIT}))
    made.prepare()
    yield made
    for name in settings.data_databases:
        for collection in made._mongo[name].list_collection_names():
            if "." in collection:
                made._mongo[name].drop_collection(collection)
    made.close()


def order(app: Flask, token: str, number: int) -> Any:
    """Ask for a dedicated organization."""
    asked = {
        "name": f"Org {number}",
        "slug": f"org-{number}",
        "isolation": "dedicated",
        "admin": {"email": "a@b.example"},
    }
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().post("/v1/organizations", json=asked, headers=headers)


def databases_of(services: Services) -> list[str]:
    found = services.control.organizations.find({"placement.mode": "dedicated"}).sort("slug", 1)
    return [one["placement"]["database"] for one in found]


def test_the_next_database_is_taken_when_one_is_full_and_the_last_accepts_nothing(small: Services) -> None:
    app, token = create_app(small), token_of(small, PLATFORM, "operator")
    headers = {"Authorization": f"Bearer {token}"}
    first, second = small.settings.data_databases
    slot = Slot(small)

    statuses = []
    for number in range(20):
        answer = order(app, token, number)
        statuses.append(answer.status_code)
        if number % 3 == 0:  # some are made at once, some are only on their way
            while slot.step("organizations") is not None:
                pass
    while slot.step("organizations") is not None:
        pass

    assert statuses == [202] * 18 + [503] * 2
    assert answer.headers["Retry-After"] == "300"
    assert sorted(databases_of(small)) == [first] * 9 + [second] * 9
    assert small.control.jobs.count_documents({"kind": "organizations.provision"}) == 18
    shown = app.test_client().get("/v1/operations/capacity", headers=headers).json["items"]
    assert [(one["database"], one["state"], one["organizations"]["used"]) for one in shown] == [
        (first, "full", 9),
        (second, "full", 9),
    ]
    events = app.test_client().get("/v1/events", headers=headers).json["items"]
    told = [(one["type"], one["data"]["database"]) for one in events if one["type"].startswith("Capacity")]
    assert told == [
        ("CapacityWarning", first),
        ("CapacityReached", first),
        ("CapacityWarning", second),
        ("CapacityReached", second),
    ]
    small.capacity.publish()
    assert CAPACITY.labels(first, "organizations")._value.get() == 0.9
    print("capacity event:", next(one for one in events if one["type"] == "CapacityWarning"))


def test_twenty_at_once_never_pass_the_limit(small: Services) -> None:
    app, token = create_app(small), token_of(small, PLATFORM, "operator")
    together, statuses = threading.Barrier(20), []

    def ask(number: int) -> None:
        together.wait()
        answer = order(app, token, number)
        while answer.status_code == 503 and "full" not in answer.json["detail"]:
            answer = order(app, token, number)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)

    assert sorted(statuses) == [202] * 18 + [503] * 2


def test_a_sign_up_that_failed_gives_its_place_back(small: Services) -> None:
    app, token = create_app(small), token_of(small, PLATFORM, "operator")
    ids = [order(app, token, number).json["id"] for number in range(18)]
    assert order(app, token, 18).status_code == 503

    small.control.jobs.update_one({"_id": ids[0]}, {"$set": {"state": "failed"}})

    assert order(app, token, 19).status_code == 202


def test_a_dedicated_organization_has_collections_of_its_own_by_its_id(small: Services) -> None:
    app, token = create_app(small), token_of(small, PLATFORM, "operator")
    order(app, token, 1)
    Slot(small).step("organizations")
    org_id = OrgId(small.control.organizations.find_one({"slug": "org-1"})["_id"])  # type: ignore[index]

    small.registry.scope(org_id)[TICKETS].insert_one({"_id": "x", "source_id": "s", "natural_key": "k"})

    database = small._mongo[small.settings.data_databases[0]]
    assert database[f"tickets.{org_id}"].count_documents({}) == 1
    assert database["tickets"].count_documents({}) == 0
    wanted = {index.document["name"] for index in TICKETS.indexes}
    assert set(database[f"tickets.{org_id}"].index_information()) == {"_id_", *wanted}
