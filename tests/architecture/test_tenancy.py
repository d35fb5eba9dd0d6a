"""There is one way to a tenant's data: only the tenancy package touches clients, databases or a scope's inside."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.jobs.kind import discover
from common.tenancy.collections import INDEXES_WITHOUT_ORGANIZATION, TENANT_COLLECTIONS
from common.tenancy.control import ControlPlane

ROOT = Path(__file__).parents[2]
TENANCY = ROOT / "common" / "tenancy"
MAKES_SCOPES = {TENANCY / "registry.py", TENANCY / "scope.py"}
OURS = [path for part in ("common", "web", "workers") for path in (ROOT / part).rglob("*.py")]


@pytest.fixture(autouse=True)
def _all_families() -> None:
    discover()


def test_every_index_of_tenants_data_begins_with_the_organization_but_for_the_listed_ones() -> None:
    exceptions = {
        (name, index.document["name"])
        for name, collection in TENANT_COLLECTIONS.items()
        for index in collection.indexes
        if next(iter(index.document["key"])) != "org_id"
    }

    assert exceptions == set(INDEXES_WITHOUT_ORGANIZATION)
    assert all(INDEXES_WITHOUT_ORGANIZATION.values())


def test_every_collection_of_tenants_data_is_declared_in_one_place() -> None:
    assert {"tickets", "refused_rows", "fences"} <= set(TENANT_COLLECTIONS)


def test_a_client_is_made_in_one_place_and_composed_in_one() -> None:
    outside = [(path, tree) for path, tree in _trees() if TENANCY not in path.parents]
    imported = {path for path, tree in outside if _imports(tree, "common.tenancy.connection")}
    makers = {path for path, tree in _trees() if _calls(tree, "MongoClient")}

    assert imported == {ROOT / "common" / "services.py"}
    assert makers == {TENANCY / "connection.py"}


def test_a_scope_is_made_by_the_registry_only() -> None:
    makers = {path for path, tree in _trees() if _calls(tree, "OrgScope") or _calls(tree, "OrgCollection")}

    assert makers == MAKES_SCOPES


def test_nobody_goes_from_a_collection_to_its_database_or_client() -> None:
    """The control plane's collections are pymongo's own, so that their `database` would lead to tenants' data."""
    outside = [(path, tree) for path, tree in _trees() if TENANCY not in path.parents]
    back = {"client", "database", "get_database", "get_collection", "watch"}

    found = [(path.name, name) for path, tree in outside for name in _attributes(tree) if name in back]

    assert found == []


def test_nobody_reaches_into_a_scope() -> None:
    for path, tree in _trees():
        inside = [name for name in _attributes(tree) if name.startswith(("_OrgScope", "_OrgCollection"))]
        assert inside == [], path


def test_only_the_tenancy_package_and_the_composition_root_know_pymongos_databases() -> None:
    for path, tree in _trees():
        if TENANCY in path.parents:
            continue
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert not names & {"MongoClient", "Database", "OrgCollection"} or path.name == "services.py", path


def test_no_collection_of_the_control_plane_has_a_name_of_tenants_data_but_the_fences() -> None:
    control = {name for name in ControlPlane.__init__.__code__.co_names if name in TENANT_COLLECTIONS}

    assert control == {"fences"}


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in OURS:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module, module: str) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.module == module for node in ast.walk(tree))


def _attributes(tree: ast.Module) -> list[str]:
    return [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]


def _calls(tree: ast.Module, name: str) -> bool:
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(
        (isinstance(func, ast.Name) and func.id == name) or (isinstance(func, ast.Attribute) and func.attr == name)
        for func in called
    )
