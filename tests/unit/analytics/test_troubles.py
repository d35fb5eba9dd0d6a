"""Each rule by which a tenant troubles the others, with a made-up tenant on either side of it."""

import pytest

from common.analytics.troubles import Tenant, Trouble, Whole, troubles
from common.ids import OrgId
from common.metering.figures import Figure

GIGABYTE = 1024**3


def tenant(name: str = "calm", *, weight: int = 1, **have: int) -> Tenant:
    figures: tuple[Figure, ...] = ("requests", "refused", "jobs", "ended", "failed", "run_us", "rows")
    sums = {figure: have.pop(figure) for figure in figures if figure in have}
    return Tenant(OrgId(name), name, "free", weight, sums, waiting_limit=1_000, **have)


def found(one: Tenant, *others: Tenant) -> list[Trouble]:
    return troubles(one, Whole.of([one, *others]))


def test_who_uses_nothing_or_is_alone_troubles_nobody() -> None:
    alone = tenant(requests=10**6, run_us=10**12, rows=10**7, storage_bytes=10**13, ended=100, waiting=5)

    assert found(tenant()) == found(tenant(), alone) == found(alone) == []


def test_more_run_time_than_its_weight_gives_while_others_wait_is_trouble() -> None:
    greedy = tenant("greedy", run_us=90_000_000)
    others = tenant("a", run_us=5_000_000, waiting=3), tenant("b", run_us=5_000_000, waiting=1, weight=2)

    (trouble,) = found(greedy, *others)

    assert (trouble.figure, trouble.value, trouble.share) == ("run_s", 90.0, 0.9)
    assert trouble.threshold == pytest.approx(1.5 / 4)
    assert trouble.reason == (
        "It took 90% of all run time, its weight gives it 25%, and 2 others wait for a slot."
    )


@pytest.mark.parametrize(
    ("greedy", "other"),
    [
        (tenant("greedy", run_us=90), tenant("a", run_us=10)),  # slots that nobody else wanted
        (tenant("greedy", run_us=90, waiting=5), tenant("a", run_us=10)),  # only it waits itself
        (tenant("greedy", run_us=90, weight=16), tenant("a", run_us=10, waiting=1)),  # its weight gives it that
        (tenant("greedy", run_us=74), tenant("a", run_us=26, waiting=1)),  # half as much again is allowed
    ],
)
def test_a_share_that_takes_nothing_from_others_is_none(greedy: Tenant, other: Tenant) -> None:
    assert found(greedy, other) == []


def test_as_many_waiting_jobs_as_may_be_is_trouble() -> None:
    (trouble,) = found(tenant(waiting=1_000))

    assert (trouble.figure, trouble.value, trouble.threshold) == ("waiting", 1_000, 1.0)
    assert trouble.reason == "1000 of its jobs wait; its tier lets 1000 wait."
    assert found(tenant(waiting=999)) == []


def test_who_goes_on_asking_although_refused_is_trouble() -> None:
    (trouble,) = found(tenant(requests=1_000, refused=100), tenant("a", requests=2_000))

    assert (trouble.figure, trouble.value, trouble.share) == ("refused", 100, 0.1)
    assert found(tenant(requests=1_001, refused=100), tenant("a", requests=2_000)) == []
    assert found(tenant(requests=99, refused=99), tenant("a", requests=2_000)) == []


def test_jobs_that_fail_are_trouble_from_half_of_them_on() -> None:
    (trouble,) = found(tenant(ended=20, failed=10))

    assert (trouble.figure, trouble.value, trouble.share, trouble.threshold) == ("failed", 10, 0.5, 0.5)
    assert found(tenant(ended=21, failed=10)) == found(tenant(ended=19, failed=19)) == []


@pytest.mark.parametrize(
    ("figure", "field", "least"),
    [("requests", "requests", 1_000), ("rows", "rows", 100_000), ("storage", "storage_bytes", GIGABYTE)],
)
def test_more_than_half_of_what_all_have_is_trouble_if_it_is_enough(figure: str, field: str, least: int) -> None:
    one = tenant(**{field: least})

    (trouble,) = found(one, tenant("a", **{field: least - 1}))

    assert (trouble.figure, trouble.value, trouble.threshold) == (figure, least, 0.5)
    assert found(one, tenant("a", **{field: least})) == []
    assert found(tenant(**{field: least - 1}), tenant("a", **{field: 1})) == []


def test_one_may_trouble_others_in_several_ways() -> None:
    worst = tenant("worst", requests=5_000, refused=4_000, ended=50, failed=50, run_us=99, waiting=1_000)

    troubling = [one.figure for one in found(worst, tenant("a", waiting=1, run_us=1), tenant("b", run_us=1))]

    assert troubling == ["run_s", "waiting", "requests", "refused", "failed"]
