"""What operators see of all tenants: who uses most, page by page, and who troubles the others and why."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from common.probe.be_quick import BeQuick
from flask import Flask

from common.files.collections import STORAGE_USE
from common.ids import PLATFORM, OrgId
from common.metering import kept
from common.metering.figures import Figure
from common.metering.meter import Meter
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_organization
from tests.integration.metering.conftest import Still
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.test_usage import move
from web.tenants import SORTS

PATH = "/v1/operations/tenants"
FIGURES: tuple[Figure, ...] = ("requests", "jobs", "run_us", "rows", "refused", "failed")


def listed(operator: Member, **query: Any) -> list[dict[str, Any]]:
    """Return the whole list, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = operator("GET", PATH, query_string=query)
        assert answer.status_code == 200, answer.text
        found += answer.json["items"]
        assert len(answer.json["items"]) <= query.get("limit", 50)
        if answer.json["next_cursor"] is None:
            return [one for one in found if one["org_id"] != PLATFORM]
        query["cursor"] = answer.json["next_cursor"]


def use(services: Services, name: str, **amounts: int) -> OrgId:
    """Make an organization that used so much in this hour."""
    org_id = make_organization(services, name)
    for figure in FIGURES:
        if figure in amounts:
            services.meter.add(org_id, figure, amounts[figure])
    if "storage" in amounts:
        kept.note_storage(services.control, org_id, amounts["storage"], services.clock.now())
    return org_id


def test_only_operators_see_it(admin: Member, app: Flask) -> None:
    assert problem_of(admin("GET", PATH), 403)["type"] == "/problems/forbidden"
    problem_of(app.test_client().get(PATH), 401)


@pytest.mark.parametrize("sort", SORTS)
def test_it_is_ordered_and_paged_by_any_figure(operator: Member, services: Services, sort: str) -> None:
    for number in range(11):
        amounts = dict.fromkeys(FIGURES, (1 + number * 7 % 5) * 1_000_000)
        use(services, f"Org {number}", **amounts, storage=number % 3)
    move(services)

    found = listed(operator, sort=sort, limit=3)

    assert len({one["org_id"] for one in found}) == len(found) == 11
    values = [len(one["troubles"]) if sort == "troubles" else one[sort] for one in found]
    assert values == sorted(values, reverse=True)
    assert all(
        one["org_id"] < other["org_id"]
        for (one, value), (other, next_value) in pairwise(zip(found, values, strict=True))
        if value == next_value
    )


def test_a_tenant_shows_what_it_used_and_its_shares(operator: Member, services: Services) -> None:
    big = use(services, "Big", requests=300, jobs=3, run_us=1_500_000, rows=90, refused=4, failed=1, storage=750)
    use(services, "Small", requests=100, jobs=1, run_us=500_000, rows=10, storage=250)
    move(services)

    found = listed(operator)

    assert found[0] == {
        "org_id": big,
        "name": "Big",
        "tier": "free",
        "requests": 300,
        "refused": 4,
        "jobs": 3,
        "failed": 1,
        "run_s": 1.5,
        "rows": 90,
        "waiting": 0,
        "running": 0,
        "storage_bytes": 750,
        "shares": {
            "requests": found[0]["shares"]["requests"],
            "jobs": 0.75,
            "run_s": 0.75,
            "rows": 0.9,
            "storage": 0.75,
        },
        "troubles": [],
    }
    assert 0.74 < found[0]["shares"]["requests"] <= 0.75  # the operator asks too


def test_a_window_holds_what_was_used_in_it(operator: Member, services: Services) -> None:
    org_id = make_organization(services, "Past")
    for hours in range(50):
        now = services.clock.now() - timedelta(hours=hours)
        past = Meter(services.shared, Still(now))
        past.add(org_id, "rows", 1)
        past.flush()
    move(services)

    (hour,), (day,) = listed(operator), listed(operator, window="day")

    assert (hour["rows"], day["rows"]) == (2, 25)


def test_who_troubles_others_is_named_with_the_figure_and_the_reason(operator: Member, services: Services) -> None:
    greedy = use(services, "Greedy", run_us=900_000_000, jobs=5)
    patient = use(services, "Patient", run_us=50_000_000, jobs=5)
    use(services, "Quiet", requests=10)
    services.submit(caller_of(patient), BeQuick())
    move(services)

    (found,) = listed(operator, troubling=True)

    assert (found["org_id"], found["name"]) == (greedy, "Greedy")
    (trouble,) = found["troubles"]
    assert trouble["figure"] == "run_s"
    assert (trouble["value"], trouble["threshold"]) == (900.0, 0.75)
    assert trouble["reason"] == (
        "It took 95% of all run time, its weight gives it 50%, and another tenant waits for a slot."
    )
    assert listed(operator, sort="troubles")[0]["org_id"] == greedy


def test_jobs_that_wait_and_run_now_are_counted(operator: Member, services: Services) -> None:
    org_id = make_organization(services, "Busy")
    for _ in range(3):
        services.submit(caller_of(org_id), BeQuick())
    slot = Slot(services)
    member = slot.take("tickets")
    assert member is not None
    slot.claim(member)

    (found,) = listed(operator, sort="waiting")

    assert (found["waiting"], found["running"]) == (2, 1)


def test_storage_is_known_without_asking_tenants_databases(
    operator: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    org_id = make_organization(services, "Stores")
    services.scope(org_id)[STORAGE_USE].insert_one(
        {"_id": org_id, "stored_bytes": 700, "reserved_bytes": 50, "files": 1, "told": "ok"}
    )
    services.storage.tell(org_id)

    def refuse(*_: object) -> None:
        raise AssertionError("a tenant's database was asked")

    monkeypatch.setattr(services.registry, "scope", refuse)

    (found,) = listed(operator, sort="storage_bytes")

    assert (found["org_id"], found["storage_bytes"]) == (org_id, 750)


def test_a_tenant_that_was_removed_has_no_name_and_no_rights(operator: Member, services: Services) -> None:
    services.meter.add(OrgId("gone"), "requests", 5)
    move(services)

    (found,) = listed(operator)

    assert (found["org_id"], found["name"], found["tier"]) == ("gone", "", "free")


def test_without_the_lanes_redis_nobody_waits_and_the_rest_is_shown(
    operator: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError

    use(services, "Acme", rows=5)
    move(services)
    monkeypatch.setattr(services.lanes, "_execute", away)

    (found,) = listed(operator)

    assert (found["rows"], found["waiting"]) == (5, 0)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("sort=name", "sort"),
        ("sort[$ne]=rows", "sort[$ne]"),
        ("window=year", "window"),
        ("troubling=maybe", "troubling"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=!!", "cursor"),
        ("cursor=WyJ4IiwxXQ", "cursor"),
        ("org_id=x", "org_id"),
    ],
)
def test_what_can_not_be_asked_is_refused_by_name(operator: Member, query: str, parameter: str) -> None:
    problem = problem_of(operator("GET", f"{PATH}?{query}"), 422)

    assert [one["parameter"] for one in problem["errors"]] == [parameter]


def test_a_cursor_belongs_to_its_order(operator: Member, services: Services) -> None:
    for number in range(3):
        use(services, f"Org {number}", rows=number)
    move(services)
    cursor = operator("GET", PATH, query_string={"limit": 1, "sort": "rows"}).json["next_cursor"]

    refused = operator("GET", PATH, query_string={"limit": 1, "sort": "jobs", "cursor": cursor})

    assert [one["parameter"] for one in problem_of(refused, 422)["errors"]] == ["cursor"]
