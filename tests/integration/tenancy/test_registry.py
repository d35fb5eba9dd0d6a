"""The registry: where an organization's data is, and that a scope is given for a prepared database only."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import ASCENDING, IndexModel, MongoClient

from common.config import Settings
from common.errors import Misconfigured, NotFound
from common.ids import PLATFORM, OrgId, new_id
from common.tenancy import collections
from common.tenancy.changes import Changes
from common.tenancy.collections import TENANT_COLLECTIONS, TenantCollection
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Registry
from common.tenancy.remembered import Remembered
from common.tenancy.safety import Unsafe
from common.tenancy.scope import OrgScope
from tests.integration.tenancy.conftest import THINGS, put_organization

Make = Callable[..., Registry]
Client = MongoClient[Any]
BY_NUMBER = (IndexModel([("org_id", ASCENDING), ("n", ASCENDING)], name="by_number"),)
ABSENT = "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f"


class StoppedClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic(self) -> float:
        return self.at_s


@pytest.fixture
def declare() -> Iterator[Callable[..., TenantCollection]]:
    """Return a way to declare a collection that is forgotten after the test."""
    before = dict(collections._DECLARED)
    yield TenantCollection
    collections._DECLARED.clear()
    collections._DECLARED.update(before)


def test_each_organization_is_in_its_own_database(
    control: ControlPlane, make_registry: Make, client: Client, settings: Settings
) -> None:
    registry = make_registry(*settings.data_databases)
    registry.prepare_databases()
    placed = {database: put_organization(control, database) for database in settings.data_databases}

    for org_id in placed.values():
        registry.scope(org_id)[THINGS].insert_one({"_id": new_id(), "natural_key": "a"})

    for database, org_id in placed.items():
        assert [one["org_id"] for one in client[database][THINGS.name].find()] == [org_id]


@pytest.mark.parametrize("org_id", ["", "x", "*", ABSENT, ABSENT.upper(), None, 1, {"$ne": None}, re.compile(".")])
def test_what_is_no_organization_has_no_scope(
    control: ControlPlane, make_registry: Make, settings: Settings, org_id: Any
) -> None:
    put_organization(control, settings.data_databases[0])
    registry = make_registry(*settings.data_databases)
    registry.prepare_databases()

    with pytest.raises((NotFound, TypeError)):
        registry.scope(org_id)


@pytest.mark.parametrize("org_id", ["", None, {"$ne": None}, re.compile("."), "acme", ["a"], PLATFORM + "\n"])
def test_a_scope_is_of_an_id_and_of_nothing_else(client: Client, settings: Settings, org_id: Any) -> None:
    with pytest.raises(Unsafe):
        OrgScope(org_id, client[settings.data_databases[0]], {THINGS.name})


def test_the_platform_has_a_scope_without_being_an_organization(make_registry: Make, settings: Settings) -> None:
    registry = make_registry(*settings.data_databases)
    registry.prepare_databases()

    assert registry.scope(PLATFORM)[THINGS].count_documents() == 0


def test_a_database_that_was_not_prepared_gives_no_scope(
    control: ControlPlane, make_registry: Make, client: Client, untouched: Settings
) -> None:
    database = untouched.data_databases[0]
    org_id = put_organization(control, database)

    with pytest.raises(Misconfigured, match="is not prepared"):
        make_registry(database).scope(org_id)
    assert client[database].list_collection_names() == []


def test_one_missing_collection_is_named(
    control: ControlPlane, make_registry: Make, client: Client, settings: Settings
) -> None:
    database = settings.data_databases[0]
    org_id = put_organization(control, database)
    make_registry(database).prepare_databases()
    client[database].drop_collection(THINGS.name)

    with pytest.raises(Misconfigured, match=f"lacks {THINGS.name}"):
        make_registry(database).scope(org_id)


def test_a_collection_declared_too_late_is_not_created_by_a_write(
    control: ControlPlane,
    make_registry: Make,
    client: Client,
    settings: Settings,
    declare: Callable[..., TenantCollection],
) -> None:
    database = settings.data_databases[0]
    org_id = put_organization(control, database)
    registry = make_registry(database)
    registry.prepare_databases()
    scope = registry.scope(org_id)
    late = declare("late_things", BY_NUMBER)

    with pytest.raises(Unsafe, match="declared after"):
        scope[late].insert_one({"_id": "a"})
    with pytest.raises(Misconfigured, match="lacks late_things"):
        registry.scope(org_id)
    assert late.name not in client[database].list_collection_names()

    registry.prepare_databases()
    registry.scope(org_id)[late].insert_one({"_id": "a"})


@pytest.mark.parametrize("what", ["tickets", None, 1])
def test_only_declared_collections_are_given(
    control: ControlPlane, make_registry: Make, settings: Settings, what: Any
) -> None:
    registry = make_registry(*settings.data_databases)
    registry.prepare_databases()
    scope = registry.scope(put_organization(control, settings.data_databases[0]))

    with pytest.raises(Unsafe):
        scope[what]


def test_a_look_alike_of_a_declared_collection_is_refused(
    control: ControlPlane, make_registry: Make, settings: Settings
) -> None:
    registry = make_registry(*settings.data_databases)
    registry.prepare_databases()
    scope = registry.scope(put_organization(control, settings.data_databases[0]))
    look_alike = object.__new__(TenantCollection)
    object.__setattr__(look_alike, "name", THINGS.name)
    object.__setattr__(look_alike, "indexes", ())

    with pytest.raises(Unsafe):
        scope[look_alike]


def test_many_processes_may_prepare_at_once(make_registry: Make, client: Client, untouched: Settings) -> None:
    failed: list[BaseException] = []

    def prepare() -> None:
        try:
            make_registry(*untouched.data_databases).prepare_databases()
        except BaseException as error:  # noqa: BLE001 (a thread's failure is the test's)
            failed.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    for database in untouched.data_databases:
        assert set(client[database].list_collection_names()) == set(TENANT_COLLECTIONS)
        for name, declared in TENANT_COLLECTIONS.items():
            wanted = {index.document["name"] for index in declared.indexes}
            assert set(client[database][name].index_information()) == {"_id_", *wanted}


def test_an_organization_in_a_database_that_the_settings_lack_is_said_so(
    control: ControlPlane, make_registry: Make, settings: Settings
) -> None:
    registry = make_registry(settings.data_databases[0])

    with pytest.raises(Misconfigured, match="elsewhere"):
        registry.scope(put_organization(control, "elsewhere"))


def test_a_placement_of_another_version_is_not_taken_for_a_pooled_one(
    control: ControlPlane, make_registry: Make, settings: Settings
) -> None:
    database = settings.data_databases[0]
    org_id = put_organization(control, database, placement={"mode": "mirrored", "database": database})
    registry = make_registry(database)
    registry.prepare_databases()

    with pytest.raises(Misconfigured, match="mirrored"):
        registry.scope(org_id)


def test_an_organization_that_was_not_there_is_found_as_soon_as_it_is(
    control: ControlPlane, make_registry: Make, settings: Settings
) -> None:
    registry = make_registry(*settings.data_databases)
    org_id = OrgId(new_id())
    with pytest.raises(NotFound):
        registry.get(org_id)

    put_organization(control, settings.data_databases[0], _id=org_id)

    assert registry.get(org_id).org_id == org_id


@pytest.mark.parametrize("slug", [{"$ne": None}, {"$gt": ""}, None, "", "ACME", "acm"])
def test_a_slug_finds_its_organization_and_an_operator_finds_none(
    control: ControlPlane, make_registry: Make, settings: Settings, slug: Any
) -> None:
    registry = make_registry(*settings.data_databases)
    org_id = put_organization(control, settings.data_databases[0], slug="acme")

    assert registry.by_slug(slug) is None
    found = registry.by_slug("acme")
    assert found is not None
    assert found.org_id == org_id


def test_new_organizations_are_spread_over_the_databases_and_stay_where_they_are(control: ControlPlane) -> None:
    databases = ("one", "two", "three")
    first, second = (Registry(control, None, databases, Remembered(Changes(control))) for _ in range(2))  # type: ignore[arg-type]
    ids = [OrgId(new_id()) for _ in range(900)]

    chosen = [first.pooled(org_id).database for org_id in ids]

    assert chosen == [second.pooled(org_id).database for org_id in ids]
    assert all(240 <= chosen.count(database) <= 360 for database in databases)
