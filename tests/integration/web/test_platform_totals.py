"""What all organizations come to: exact in both placements, gone on with where it was cut off; for operators."""

import base64
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from common.analytics import queue_times
from common.analytics.platform_totals import SORTS
from common.files.collections import FILES
from common.ids import PLATFORM, OrgId, first_id_at, new_id
from common.metering.figures import day_of
from common.metering.kept import id_of
from common.services import Services
from common.tenancy.census import Census
from tests.integration.analytics.lives import Life
from tests.integration.conftest import Asked, Slot, make_organization, make_person
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.test_organizations import place
from tests.integration.web.test_usage import move

PATH = "/v1/operations/analytics/platform"
HOUR = timedelta(hours=1)


@pytest.fixture
def lives(services: Services) -> list[Life]:
    """Return seven organizations with tickets, two of them dedicated; some deltas wait."""
    made = [make_organization(services, f"Org {number}") for number in range(7)]
    for org_id in made[:2]:
        place(services, org_id)
    found = [Life(services, org_id, seed) for seed, org_id in enumerate(made)]
    for seed, life in enumerate(found):
        life.go_on(seed)
    return found


@pytest.fixture
def measured(operator: Member, services: Services) -> Callable[[], dict[str, Any]]:
    """Return a function that has all of it measured, and returns what is shown."""

    def measure() -> dict[str, Any]:
        accepted = operator("POST", PATH)
        assert accepted.status_code == 202, accepted.text
        done = Slot(services).step("analytics")
        assert done is not None
        assert done.state == "succeeded", done.error
        answer = operator("GET", done.result["links"]["totals"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    return measure


Measured = Callable[[], dict[str, Any]]


def tenants_of(operator: Member, run_id: str, **query: Any) -> list[dict[str, Any]]:
    """Return the whole list, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = operator("GET", f"{PATH}/{run_id}/tenants", query_string=query)
        assert answer.status_code == 200, answer.text
        found += answer.json["items"]
        if answer.json["next_cursor"] is None:
            return found
        query["cursor"] = answer.json["next_cursor"]


def began(services: Services, org_id: OrgId, waited: timedelta, *, ago: timedelta = HOUR) -> None:
    """Put a job there that waited so long."""
    made_at = services.clock.now() - ago
    ids = {"_id": first_id_at(made_at)[:-12] + new_id()[-12:], "org_id": org_id}
    times = {"created_at": made_at, "run_at": None, "started_at": made_at + waited}
    services.control.jobs.insert_one({**ids, **times, "state": "succeeded", "kind": "probe.be_quick"})


def test_totals_are_the_sums_of_what_is_there(
    operator: Member, services: Services, lives: list[Life], measured: Measured
) -> None:
    make_person(services, lives[0].org_id, email="a@alder.example")
    make_person(services, lives[1].org_id, email="b@alder.example")
    make_person(services, lives[1].org_id, email="c@birch.example")
    services.scope(lives[1].org_id)[FILES].insert_one({"_id": new_id(), "content_hash": "x"})
    services.meter.add(lives[2].org_id, "jobs", 9)
    services.meter.add(lives[2].org_id, "failed", 4)
    move(services)

    found = measured()
    tenants = {one["org_id"]: one for one in tenants_of(operator, found["id"])}

    assert {one.org_id: one.count() for one in lives} == {
        one.org_id: tenants[one.org_id]["tickets"] for one in lives
    }
    assert found["totals"]["tickets"] == sum(one.count() for one in lives) > 0
    assert (found["totals"]["organizations"], found["totals"]["files"]) == (7, 1)
    assert found["organizations_by"]["mode"] == {"dedicated": 2, "pooled": 5}
    assert {"email_domain": "alder.example", "users": 2} in found["email_domains"]
    assert (tenants[lives[2].org_id]["jobs"], tenants[lives[2].org_id]["failed"]) == (9, 4)
    assert tenants[lives[1].org_id]["users"] == 2


def test_how_long_jobs_waited_is_told_by_organization_and_for_all(
    operator: Member, services: Services, measured: Measured
) -> None:
    slow, quick = make_organization(services, "Slow"), make_organization(services, "Quick")
    for number in range(1, 21):
        began(services, slow, timedelta(seconds=10 * number))
        began(services, quick, timedelta(milliseconds=number))
    began(services, quick, timedelta(hours=9), ago=timedelta(hours=25))

    found = measured()
    tenants = {one["name"]: one for one in tenants_of(operator, found["id"], sort="queue_p95_s")}

    assert list(tenants)[:2] == ["Slow", "Quick"]
    assert tenants["Slow"]["queue_p50_s"] == pytest.approx(100, rel=0.02)
    assert tenants["Slow"]["queue_p95_s"] == pytest.approx(190, rel=0.02)
    assert (tenants["Quick"]["queue_jobs"], tenants["Quick"]["queue_p95_s"]) == (
        20,
        pytest.approx(0.019, rel=0.03),
    )
    assert found["queue"]["jobs"] == 40
    assert found["queue"]["p50_s"] == pytest.approx(0.02, rel=0.03)


@example([8], 50)  # of a few milliseconds tenths of one matter
@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_hardly_off(waited_ms: list[int], percent: int) -> None:
    ordered = sorted(waited_ms)
    exact = ordered[-(-len(ordered) * percent // 100) - 1]
    histogram: dict[str, int] = {}
    for one in waited_ms:
        bucket = str(queue_times.bucket_of(one))
        histogram[bucket] = histogram.get(bucket, 0) + 1

    found = queue_times.percentile_s(histogram, percent)

    assert found == pytest.approx(exact / 1000, rel=0.0201, abs=0.0001)


def test_growth_is_told_against_earlier_totals(services: Services, measured: Measured) -> None:
    first = measured()
    for ago in (40, 8):
        old = {"_id": new_id(), "begun_at": services.clock.now() - timedelta(days=ago), "totals": first["totals"]}
        services.control.platform_totals.insert_one(old)
    make_organization(services)

    second = measured()

    assert [one["organizations"] for one in second["growth"]] == [1, 1, 1]
    assert second["growth"][0]["since"] == first["begun_at"]
    assert len({one["since"] for one in second["growth"]}) == 3


def test_a_run_that_is_cut_off_goes_on_with_its_next_batch(
    operator: Member, services: Services, lives: list[Life], monkeypatch: pytest.MonkeyPatch
) -> None:
    services.__dict__["census"] = Census(
        services.control, services._mongo, services.settings.data_databases, batch=2
    )
    services.__dict__.pop("platform_totals", None)
    made = services.platform_totals
    operator("POST", PATH)
    slot, walked, measure = Slot(services), [], made.measure
    claimed = slot.claim(slot.take("analytics"))
    assert claimed is not None

    def die_at_the_third(run_id: str, batch: Any) -> Any:
        walked.append(batch.org_ids)
        if len(walked) == 3:
            raise RuntimeError
        return measure(run_id, batch)

    monkeypatch.setattr(made, "measure", die_at_the_third)
    assert slot.run(claimed).ending != "succeeded"
    outcome = slot.run(claimed)

    assert outcome.ending == "succeeded"
    seen = [org_id for org_ids in (*walked[:2], *walked[3:]) for org_id in org_ids]
    assert len(seen) == len(set(seen))
    assert {one.org_id for one in lives} <= set(seen)
    found = operator("GET", f"{PATH}/{claimed.job_id}").json
    assert found["totals"]["tickets"] == sum(one.count() for one in lives)
    assert slot.run(claimed).ending == "succeeded"
    assert operator("GET", f"{PATH}/{claimed.job_id}").json["totals"] == found["totals"]


@pytest.mark.usefixtures("lives")
def test_it_can_be_cancelled(operator: Member, services: Services) -> None:
    operator("POST", PATH)
    slot = Slot(services)
    claimed = slot.claim(slot.take("analytics"))
    assert claimed is not None

    assert slot.run(claimed, Asked(cancel=True)).ending == "cancelled"
    problem_of(operator("GET", f"{PATH}/{claimed.job_id}"), 404)


@pytest.mark.parametrize("sort", SORTS)
def test_organizations_are_ordered_and_paged(
    operator: Member, services: Services, measured: Measured, sort: str
) -> None:
    for number in range(5):
        org_id = make_organization(services, f"Org {number}")
        for _ in range(number % 3):
            began(services, org_id, timedelta(seconds=1 + number))
            make_person(services, org_id)
    found = measured()

    listed = tenants_of(operator, found["id"], sort=sort, limit=2)

    values = [-1 if one[sort] is None else one[sort] for one in listed]
    assert len({one["org_id"] for one in listed}) == len(listed) == 5
    assert values == sorted(values, reverse=True)
    assert all(
        a["org_id"] < b["org_id"] for (a, x), (b, y) in pairwise(zip(listed, values, strict=True)) if x == y
    )


def test_only_operators_measure_and_see_it(
    admin: Member, operator: Member, app: Flask, measured: Measured
) -> None:
    found = measured()
    for path in (PATH, f"{PATH}/{found['id']}", f"{PATH}/{found['id']}/tenants"):
        problem_of(admin("GET", path), 403)
        problem_of(app.test_client().get(path), 401)
    problem_of(admin("POST", PATH), 403)
    problem_of(operator("GET", f"{PATH}/{new_id()}/tenants"), 404)
    problem_of(operator("GET", f"{PATH}/{found['id']}/tenants?sort=name"), 422)
    audited = operator("GET", "/v1/operations/audit-log").json["items"]
    assert audited[0]["action"] == "platform.total"
    assert [one["id"] for one in operator("GET", PATH).json["items"]] == [found["id"]]


def test_what_was_used_six_days_and_23_hours_ago_is_of_the_last_seven_days(
    services: Services, measured: Measured
) -> None:
    org_id, at = make_organization(services), services.clock.now() - timedelta(days=6, hours=23)
    used = {"_id": id_of(org_id, day_of(at)), "org_id": org_id, "day": day_of(at), "jobs": 7}
    services.control.usage.insert_one(used)

    assert measured()["totals"]["jobs"] == 7


def test_a_cursor_of_ones_own_making_is_refused(operator: Member, services: Services, measured: Measured) -> None:
    for _ in range(3):
        make_organization(services)
    here = f"{PATH}/{measured()['id']}/tenants"
    cursor = operator("GET", here, query_string={"limit": 1}).json["next_cursor"]
    mark, (_, org_id) = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    forged = base64.urlsafe_b64encode(orjson.dumps([mark, [2**63, org_id]])).decode().rstrip("=")

    problem = problem_of(operator("GET", here, query_string={"limit": 1, "cursor": forged}), 422)
    assert [one["parameter"] for one in problem["errors"]] == ["cursor"]


def test_who_is_purged_is_measured_no_more(services: Services, measured: Measured) -> None:
    gone = make_organization(services)
    services.control.organizations.update_one({"_id": gone}, {"$set": {"state": "purged"}})

    assert measured()["totals"]["organizations"] == 0


def test_nobody_else_can_be_asked_for_more_than_sums(services: Services) -> None:
    """The census gives numbers only, so nothing of anybody's data can leave by it."""
    public = [name for name in vars(Census) if not name.startswith("_")]

    assert public == ["batches", "sums"]
    assert PLATFORM not in [org_id for batch in services.census.batches() for org_id in batch.org_ids]
