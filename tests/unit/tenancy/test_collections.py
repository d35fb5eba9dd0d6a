"""Declaring a collection of tenants' data: what can't be one."""

import pytest
from pymongo import ASCENDING, IndexModel

from common.tenancy.collections import TENANT_COLLECTIONS, TenantCollection
from common.tenancy.fences import FENCES


@pytest.mark.parametrize(
    "key", [[("n", ASCENDING)], [("_id", ASCENDING), ("org_id", ASCENDING)], [("at", "text")]]
)
def test_an_index_that_does_not_begin_with_the_organization_is_refused(key: list[tuple[str, int]]) -> None:
    with pytest.raises(TypeError, match="does not begin with org_id"):
        TenantCollection("never_declared", (IndexModel(key),))
    assert "never_declared" not in TENANT_COLLECTIONS


@pytest.mark.parametrize(
    "name", ["", "system.users", "system_x", "Tickets", "a.b", "$cmd", "a b", "a\x00", "a\n", "1a"]
)
def test_a_name_that_is_none_of_ours_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="is named"):
        TenantCollection(name, ())
    assert name not in TENANT_COLLECTIONS


def test_two_collections_can_not_share_a_name() -> None:
    with pytest.raises(TypeError, match="Two collections"):
        TenantCollection(FENCES.name, ())
    assert TENANT_COLLECTIONS[FENCES.name] is FENCES
