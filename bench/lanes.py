"""What one dispatch costs in Redis as tenants and waiting jobs grow, and how much memory a waiting job takes.

A dispatch is an admission, a take and a release. Its cost is Redis's own: commands that the scripts call, and the
time they take, as INFO COMMANDSTATS has it. The sizes are measured in turn, several times, and compared as ratios.
"""

import os
from dataclasses import dataclass

import redis

from bench.rig import Rig, report, rig
from common.ids import JobId, OrgId, new_id
from common.jobs.lanes import Lanes
from common.jobs.members import Entry, Member

QUEUE, KIND = "bench", "bench.do_nothing"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
DISPATCHES = 2_000
MANY = int(os.environ.get("BENCH_MANY", "1000000"))
MEMORY_BAR_BYTES = 300


@dataclass(frozen=True)
class Size:
    """So many jobs waiting, of so many tenants."""

    tenants: int
    jobs: int


PAIRS_OF = (
    ("10 to 10,000 tenants, 20,000 jobs", Size(10, 20_000), Size(10_000, 20_000)),
    (f"1,000 to {MANY:,} jobs, 200 tenants", Size(200, 1_000), Size(200, MANY)),
)


def main() -> None:
    """Measure and print."""
    with rig() as made:
        for name, few, many in PAIRS_OF:
            times, commands = [], []
            for _ in range(ROUNDS):
                small, large = dispatch(made, few), dispatch(made, many)
                times.append((large.micros, small.micros))
                commands.append((large.commands, small.commands))
            report(f"script time of a dispatch, {name}", times, "us", "<= 1.3")
            report(f"commands of a dispatch, {name}", commands, "commands", "<= 1.3")
        for size in (Size(200, 100_000), Size(10_000, 100_000)):
            each = memory(made, size)
            print(
                f"memory of a waiting job, {size.jobs:,} of {size.tenants:,} tenants: {each:.0f} bytes  bar <= 300"
            )


@dataclass(frozen=True)
class Cost:
    """What one dispatch costs Redis."""

    micros: float
    commands: float


def dispatch(made: Rig, size: Size) -> Cost:
    """Fill the lanes, and measure admissions, takes and releases at that size."""
    with redis.Redis.from_url(made.redis.url(2)) as client:
        lanes = filled(client, size)
        extra = [
            Member(OrgId(f"tenant {number % size.tenants}"), JobId(new_id()), KIND) for number in range(DISPATCHES)
        ]
        client.config_resetstat()
        for member in extra:
            lanes.admit_all([Entry(QUEUE, member, 5)])
            taken = lanes.take(QUEUE, "1-1", linger_s=0, hold_s=30)
            lanes.release(QUEUE, [(one, 1.0) for one in taken])
        stats = client.info("commandstats")
    scripts = stats.pop("cmdstat_evalsha")
    stats.pop("cmdstat_config|resetstat", None)
    stats.pop("cmdstat_info", None)
    calls = sum(one["calls"] for one in stats.values())
    return Cost(scripts["usec"] / DISPATCHES, calls / DISPATCHES)


def memory(made: Rig, size: Size) -> float:
    """Return the bytes that Redis uses for each waiting job."""
    with redis.Redis.from_url(made.redis.url(2)) as client:
        client.flushall()
        before = int(client.info("memory")["used_memory"])
        filled(client, size)
        return (int(client.info("memory")["used_memory"]) - before) / size.jobs


def filled(client: "redis.Redis", size: Size) -> Lanes:
    """Return lanes in which so many jobs wait."""
    client.flushall()
    lanes = Lanes(client, tier_of=lambda _: "enterprise")
    lanes.lay_down({"enterprise": "16 32"}, {}, [])
    for start in range(0, size.jobs, 10_000):
        lanes.admit_all(
            Entry(QUEUE, Member(OrgId(f"tenant {number % size.tenants}"), JobId(new_id()), KIND), 5)
            for number in range(start, min(size.jobs, start + 10_000))
        )
    return lanes


if __name__ == "__main__":
    main()
