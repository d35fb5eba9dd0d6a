"""The walk over all organizations: each once, wherever it goes on, whatever the databases are called."""

import pytest

from common.ids import OrgId, new_id
from common.services import Services
from common.tenancy.census import Census

DATABASES = ("data_1", "data_10", "data:2", "data_2")


@pytest.fixture
def placed(services: Services) -> list[OrgId]:
    """Return five organizations in each placement."""
    made = []
    for database in DATABASES:
        for mode in ("pooled", "dedicated"):
            for _ in range(5):
                org_id = OrgId(new_id())
                place = {"mode": mode, "database": database}
                named = {"_id": org_id, "slug": org_id, "placement": place}
                services.control.organizations.insert_one(named)
                made.append(org_id)
    return made


def test_it_goes_on_after_each_batch_with_all_that_are_left(services: Services, placed: list[OrgId]) -> None:
    census = Census(services.control, services._mongo, DATABASES, batch=2)
    whole = list(census.batches())

    assert sorted(org_id for batch in whole for org_id in batch.org_ids) == sorted(placed)
    for number, batch in enumerate(whole, 1):
        assert list(census.batches(batch.place)) == whole[number:], batch.place


def test_a_batch_is_of_one_placement_and_dedicated_ones_stand_alone(
    services: Services, placed: list[OrgId]
) -> None:
    found = list(Census(services.control, services._mongo, DATABASES, batch=3).batches())

    sizes = {len(one.org_ids) for one in found if one.placement.mode == "dedicated"}
    assert (sizes, sum(len(one.org_ids) for one in found)) == ({1}, len(placed))
    assert max(len(one.org_ids) for one in found) == 3
