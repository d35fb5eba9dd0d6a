"""Who troubles the others: the figures by which that is told, each with its threshold and its reason.

figure       it is trouble when
run_s        its share of all run time is half as much again as its weight gives it, while others wait
waiting      as many of its jobs wait as its tier lets wait
requests     more than half of all requests are its, of at least 1,000
refused      a tenth of its requests or more are refused, of at least 100
failed       half of its jobs or more fail, of at least 20 that ended
rows         more than half of all rows are its, of at least 100,000
storage      more than half of what all store is its, of at least a gigabyte
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from common.ids import OrgId
from common.metering.figures import Figure
from common.metering.kept import Sums

FAIR_TIMES = 1.5
HALF = 0.5
REFUSED_SHARE, REFUSED_FROM = 0.1, 100
FAILED_SHARE, FAILED_FROM = 0.5, 20
REQUESTS_FROM, ROWS_FROM, STORAGE_FROM_BYTES = 1_000, 100_000, 1024**3


@dataclass(frozen=True)
class Tenant:
    """What one tenant used, and has now; *weight* is its share of busy slots against others'."""

    org_id: OrgId
    name: str
    tier: str
    weight: int
    sums: Sums
    waiting: int = 0
    running: int = 0
    waiting_limit: int = 0
    storage_bytes: int = 0

    def used(self, figure: Figure) -> int:
        """Return how much of *figure* it used."""
        return self.sums.get(figure, 0)


@dataclass(frozen=True)
class Whole:
    """What all tenants come to."""

    sums: Sums
    waiting: int
    running: int
    storage_bytes: int
    tenants: int
    tenants_waiting: int
    weight_at_work: int

    @classmethod
    def of(cls, tenants: Sequence[Tenant]) -> "Whole":
        """Add *tenants* up."""
        figures = {figure for one in tenants for figure in one.sums}
        return cls(
            sums={figure: sum(one.used(figure) for one in tenants) for figure in figures},
            waiting=sum(one.waiting for one in tenants),
            running=sum(one.running for one in tenants),
            storage_bytes=sum(one.storage_bytes for one in tenants),
            tenants=len(tenants),
            tenants_waiting=sum(one.waiting > 0 for one in tenants),
            weight_at_work=sum(one.weight for one in tenants if is_at_work(one)),
        )


@dataclass(frozen=True)
class Trouble:
    """By which figure a tenant troubles the others: its *value*, the *share* that is judged, from where on."""

    figure: str
    value: float
    share: float
    threshold: float
    reason: str


def troubles(tenant: Tenant, whole: Whole) -> list[Trouble]:
    """Return by what *tenant* troubles the others."""
    return [found for rule in _RULES for found in rule(tenant, whole)]


def is_at_work(tenant: Tenant) -> bool:
    """Tell whether it needs slots: it ran jobs, or has some that wait."""
    return tenant.used("run_us") > 0 or tenant.waiting > 0 or tenant.running > 0


def share(part: float, whole: float) -> float:
    """Return which part of *whole* it is, 0 of nothing."""
    return part / whole if whole else 0.0


def _run(tenant: Tenant, whole: Whole) -> Iterator[Trouble]:
    others = whole.tenants_waiting - (tenant.waiting > 0)
    used, fair = tenant.used("run_us"), share(tenant.weight, whole.weight_at_work)
    part, threshold = share(used, whole.sums.get("run_us", 0)), min(1.0, FAIR_TIMES * fair)
    if others and used and part > threshold:
        wait = "another tenant waits" if others == 1 else f"{others} others wait"
        reason = f"It took {part:.0%} of all run time, its weight gives it {fair:.0%}, and {wait} for a slot."
        yield Trouble("run_s", round(used / 1e6, 3), part, threshold, reason)


def _waiting(tenant: Tenant, whole: Whole) -> Iterator[Trouble]:
    del whole
    if tenant.waiting_limit and tenant.waiting >= tenant.waiting_limit:
        reason = f"{tenant.waiting} of its jobs wait; its tier lets {tenant.waiting_limit} wait."
        yield Trouble("waiting", tenant.waiting, share(tenant.waiting, tenant.waiting_limit), 1.0, reason)


def _refused(tenant: Tenant, whole: Whole) -> Iterator[Trouble]:
    del whole
    refused, part = tenant.used("refused"), share(tenant.used("refused"), tenant.used("requests"))
    if refused >= REFUSED_FROM and part >= REFUSED_SHARE:
        reason = f"{part:.0%} of its requests are refused, and it goes on asking."
        yield Trouble("refused", refused, part, REFUSED_SHARE, reason)


def _failed(tenant: Tenant, whole: Whole) -> Iterator[Trouble]:
    del whole
    failed, ended = tenant.used("failed"), tenant.used("ended")
    part = share(failed, ended)
    if ended >= FAILED_FROM and part >= FAILED_SHARE:
        reason = f"{failed} of its {ended} jobs that ended have failed, and each took a slot."
        yield Trouble("failed", failed, part, FAILED_SHARE, reason)


def _more_than_half(figure: str, what: str, least: int, of: Callable[[Tenant | Whole], int]) -> "_Rule":
    """Return the rule by which more than half of all is too much, where there are others, and it is enough."""

    def rule(tenant: Tenant, whole: Whole) -> Iterator[Trouble]:
        used, part = of(tenant), share(of(tenant), of(whole))
        if whole.tenants > 1 and used >= least and part > HALF:
            yield Trouble(figure, used, part, HALF, f"{part:.0%} of {what} is this one tenant's.")

    return rule


_Rule = Callable[[Tenant, Whole], Iterator[Trouble]]
_RULES: Sequence[_Rule] = (
    _run,
    _waiting,
    _more_than_half("requests", "all requests", REQUESTS_FROM, lambda one: one.sums.get("requests", 0)),
    _refused,
    _failed,
    _more_than_half("rows", "all rows written", ROWS_FROM, lambda one: one.sums.get("rows", 0)),
    _more_than_half("storage", "what all store", STORAGE_FROM_BYTES, lambda one: one.storage_bytes),
)
