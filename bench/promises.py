"""What each promise costs for one job: every step of its life in microseconds, beside one plain majority insert.

One job after the other in one thread, so that nothing is shared; the rows of a group show what company saves.
"""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.rig import rig

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "400"))
GROUP = 8
LIFE = ("submit", "admit", "take", "claim", "confirm", "fenced write", "finish")


def main() -> None:
    """Measure and print."""
    with rig() as made:
        os.environ.update({key: value for key, value in made.environment().items() if key.startswith("FAIRWAY_")})
        costs = measure()
    unit = statistics.median(costs["one majority insert"])
    life = sum(statistics.median(costs[step]) for step in LIFE)
    print(f"one job's life, step by step: median of {ROUNDS}; a share is of the steps marked *")
    for step, taken in costs.items():
        median = statistics.median(taken)
        share = f"{100 * median / life:5.1f} % *" if step in LIFE else ""
        print(f"{step:34} {median * 1e6:8.0f} us   {median / unit:5.2f} inserts   {share}", flush=True)


def measure() -> dict[str, list[float]]:
    """Let jobs live, and return the seconds of each step."""
    from common.bench.effects import EFFECTS

    from bench.submit import organization, services

    made = services()
    caller = organization(made)
    costs: dict[str, list[float]] = defaultdict(list)
    effects = made.scope(caller.org_id)[EFFECTS]
    for number in range(ROUNDS):
        with timed(costs, "one majority insert"):
            effects.insert_one({"_id": f"plain-{number}"})
        _one_life(made, caller, costs, number)
    for _ in range(ROUNDS // GROUP):
        _one_group(made, caller, costs)
    made.close()
    return costs


def _one_life(made: Any, caller: Any, costs: dict[str, list[float]], number: int) -> None:
    from common.bench.do_nothing import DoNothing
    from common.bench.effects import EFFECTS

    from common.jobs.leases import Held
    from workers.context import Context

    admit, made.lanes.admit_all_soon = made.lanes.admit_all_soon, lambda _: None
    with timed(costs, "submit"):
        record = made.submit(caller, DoNothing(number=number))
    made.lanes.admit_all_soon = admit
    with timed(costs, "admit"):
        made.lanes.admit_all([record.entry])
    with timed(costs, "take"):
        (member,) = made.lanes.take("bench", "1-1", linger_s=0, hold_s=30)
    with timed(costs, "claim"):
        claimed = made.jobs.claim(member, "bench")
    with timed(costs, "confirm"):
        made.jobs.confirm(claimed)
    held = Held(claimed.org_id, claimed.job_id, claimed.token)
    with timed(costs, "renewal (each third of a lease)"):
        made.jobs.renew([held])
    with timed(costs, "news of a lease (each second)"):
        made.jobs.news([held])
    ctx = Context(made, claimed)
    ctx._is_confirmed = True  # noqa: SLF001 (its cost is a row of its own)
    with timed(costs, "fenced write"):
        ctx.write(lambda scope: scope[EFFECTS].insert_one({"_id": f"fenced-{number}"}), checkpoint={"next": 1})
    with timed(costs, "finish"):
        made.jobs.succeed(claimed, None)
    made.lanes.forget("bench", [member])


def _one_group(made: Any, caller: Any, costs: dict[str, list[float]]) -> None:
    from common.bench.do_nothing import DoNothing

    from common.jobs.leases import Held

    claims = []
    for number in range(GROUP):
        record = made.submit(caller, DoNothing(number=number))
        claims.append(made.jobs.claim(record.entry.member, "bench"))
    held = [Held(one.org_id, one.job_id, one.token) for one in claims]
    with timed(costs, f"renewal, each of a group of {GROUP}", GROUP):
        made.jobs.renew(held)
    with timed(costs, f"finish, each of a group of {GROUP}", GROUP):
        made.jobs.succeed_many([(one, None) for one in claims])
    made.lanes.forget("bench", [one.member for one in claims])


@contextmanager
def timed(costs: dict[str, list[float]], step: str, by: int = 1) -> Iterator[None]:
    """Note how long the block took, divided *by* so many."""
    clock: Callable[[], float] = time.perf_counter
    started = clock()
    yield
    costs[step].append((clock() - started) / by)


if __name__ == "__main__":
    main()
