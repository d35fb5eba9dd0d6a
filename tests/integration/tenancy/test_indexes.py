"""Indexes: what is declared is made everywhere, resumed where it was cut off; and what is really there is told."""

from typing import Any

import pytest
from pymongo import ASCENDING, IndexModel

from common.caller import Caller
from common.ids import PLATFORM, OrgId, new_id
from common.jobs.record import JobRecord
from common.platform.tend_indexes import TendIndexes
from common.services import Services
from common.tenancy.collections import TENANT_COLLECTIONS
from common.tickets.collections import TICKETS
from tests.integration.conftest import Slot, make_organization
from tests.integration.web.test_organizations import place

OPERATOR = Caller(org_id=PLATFORM, user_id="test", role="operator", request_id="r")
Json = dict[str, Any]


@pytest.fixture
def dedicated(services: Services) -> Any:
    """Return two dedicated organizations."""
    made = [make_organization(services, f"Dedicated {n}") for n in range(2)]
    for one in made:
        place(services, one)
    yield made
    for name in services.settings.data_databases:
        for collection in services._mongo[name].list_collection_names():
            if "." in collection:
                services._mongo[name].drop_collection(collection)


def tend(services: Services, mode: Any) -> JobRecord:
    """Do the job, as a worker does."""
    job = services.submit(OPERATOR, TendIndexes(mode=mode))
    Slot(services).step("organizations")
    return services.jobs.get(PLATFORM, job.id)


def differences(services: Services, mode: str = "verify") -> list[tuple[str, str, str | None]]:
    ended = tend(services, mode)
    assert ended.state == "succeeded", ended.error
    return [(one["what"], one["collection"], one["index"]) for one in ended.result["differences"]]


def test_all_is_as_declared_after_the_start(services: Services, dedicated: list[OrgId]) -> None:
    ended = tend(services, "verify")

    assert ended.result["differences"] == []
    shared = len(services.control.declared) + 2 * len(TENANT_COLLECTIONS)
    assert ended.result["looked_at"] == shared + len(dedicated) * len(TENANT_COLLECTIONS)
    assert ended.progress.percent == 100


def test_what_is_missing_or_differs_is_planned_and_made_everywhere(
    services: Services, dedicated: list[OrgId]
) -> None:
    own = services._mongo[services.settings.data_databases[0]]
    own["tickets"].drop_index("live_status")
    own[f"tickets.{dedicated[0]}"].drop_index("live_newest")
    own[f"tickets.{dedicated[1]}"].drop_index("natural_key")
    own[f"tickets.{dedicated[1]}"].create_index([("org_id", ASCENDING)], name="natural_key")
    own.drop_collection(f"refused_rows.{dedicated[0]}")
    services.control.users.drop_index("email_domain")
    wanted = {
        ("index_missing", "users", "email_domain"),
        ("index_missing", "tickets", "live_status"),
        ("index_missing", f"tickets.{dedicated[0]}", "live_newest"),
        ("index_differs", f"tickets.{dedicated[1]}", "natural_key"),
        ("collection_missing", f"refused_rows.{dedicated[0]}", None),
    }

    assert set(differences(services, "plan")) == wanted
    assert set(differences(services, "plan")) == wanted  # a plan changes nothing
    assert set(differences(services, "apply")) == wanted
    assert differences(services) == []
    assert own[f"tickets.{dedicated[1]}"].index_information()["natural_key"]["unique"]


def test_an_index_that_nobody_declared_is_told_and_stays(services: Services) -> None:
    services.control.audit.create_index([("actor", ASCENDING)], name="by_hand")
    try:
        assert differences(services, "apply") == [("index_unknown", "audit", "by_hand")] or differences(services)
        assert ("index_unknown", "audit", "by_hand") in differences(services)
    finally:
        services.control.audit.drop_index("by_hand")


def test_what_is_declared_later_is_made_in_all_placements(
    services: Services, dedicated: list[OrgId], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = IndexModel([("org_id", ASCENDING), ("channel", ASCENDING)], name="channel")
    object.__setattr__(TICKETS, "indexes", (*TICKETS.indexes, more))
    try:
        found = differences(services, "apply")
        assert len(found) == 2 + len(dedicated)
        assert {one[2] for one in found} == {"channel"}
        assert differences(services) == []
    finally:
        object.__setattr__(TICKETS, "indexes", TICKETS.indexes[:-1])
        for name in services.settings.data_databases:
            for collection in ("tickets", *(f"tickets.{one}" for one in dedicated)):
                if "channel" in services._mongo[name][collection].index_information():
                    services._mongo[name][collection].drop_index("channel")
    del monkeypatch


def test_it_goes_on_where_it_was_cut_off(services: Services, dedicated: list[OrgId]) -> None:
    total = services.indexes.count()
    places = [target.place for target in services.indexes.targets()]
    assert places == sorted(places)
    assert len(places) == total

    for number in range(0, total, 3):
        left = [target.place for target in services.indexes.targets(places[number])]
        assert left == places[number + 1 :]
    assert any(str(dedicated[0]) in one for one in places)


def test_verify_finds_orphans_and_organizations_whose_database_is_not_ours(services: Services) -> None:
    database, orphan = services.settings.data_databases[0], new_id()
    services._mongo[database][f"tickets.{orphan}"].insert_one({"_id": "x"})
    lost = make_organization(services, "Lost")
    services.control.organizations.update_one({"_id": lost}, {"$set": {"placement.database": "elsewhere"}})

    found = differences(services)

    assert ("collection_orphaned", f"tickets.{orphan}", None) in found
    assert ("database_unknown", str(lost), None) in found
    services._mongo[database].drop_collection(f"tickets.{orphan}")
