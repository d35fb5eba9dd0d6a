"""Looking organizations up among 10,000 and among 100: remembered here, in Redis, and in MongoDB."""

import random
import statistics
import time
from collections.abc import Callable

from bench.rig import rig
from common.ids import OrgId, new_id
from common.services import Services

FEW, MANY = 100, 10_000
LOOKS = 20_000
COLD_LOOKS = 2_000
PAIRS = 5
BAR = 2.0


def main() -> None:
    """Measure and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        ids = fill(services, MANY)
        services.changes.listen()
        while not services.changes.is_fresh:
            time.sleep(0.01)
        for what, forget, looks in (
            ("remembered here", lambda: None, LOOKS),
            ("in Redis", services.remembered._entries.clear, COLD_LOOKS),  # noqa: SLF001 (as a new process)
            ("in MongoDB", lambda: forget_all(services), COLD_LOOKS),
        ):
            show(what, services, ids, forget, looks)
        services.close()


def fill(services: Services, count: int) -> list[OrgId]:
    """Put organizations there."""
    ids = [OrgId(new_id()) for _ in range(count)]
    services.control.organizations.insert_many(
        [
            {
                "_id": one,
                "name": f"Organization {number}",
                "slug": f"organization-{number}",
                "tier": "free",
                "placement": {"mode": "pooled", "database": "bench_data"},
                "created_at": services.clock.now(),
            }
            for number, one in enumerate(ids)
        ]
    )
    return ids


def forget_all(services: Services) -> None:
    services.remembered._entries.clear()  # noqa: SLF001 (as a new process)
    services.shared.flushdb()


def show(what: str, services: Services, ids: list[OrgId], forget: Callable[[], None], looks: int) -> None:
    """Look the same number of times among few and among many, and print the ratio."""
    ratios, seconds = [], []
    for _ in range(PAIRS):
        few = timed(services, ids[:FEW], forget, looks)
        many = timed(services, ids, forget, looks)
        ratios.append(many / few)
        seconds.append(many)
    print(
        f"registry, {what:16} among {MANY:,} to among {FEW}: ratio {statistics.median(ratios):.2f}"
        f" ({min(ratios):.2f}-{max(ratios):.2f})  bar <= {BAR:g}; {statistics.median(seconds) * 1e6:.1f} us a look"
    )


def timed(services: Services, ids: list[OrgId], forget: Callable[[], None], looks: int) -> float:
    """Return the seconds a look takes, when each is asked for about as often."""
    draw = random.Random(7)
    asked = [draw.choice(ids) for _ in range(looks)]
    for one in ids:  # the first look of all is not what is measured
        services.registry.get(one)
    took = 0.0
    for begin in range(0, looks, FEW):
        forget()
        some = asked[begin : begin + FEW]
        started = time.perf_counter()
        for one in some:
            services.registry.get(one)
        took += time.perf_counter() - started
    return took / looks


if __name__ == "__main__":
    main()
