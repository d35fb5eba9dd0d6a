"""Listing 50 jobs of a million by each filter, on skewed data: what is examined for each job that is returned.

One organization has most of the jobs, one kind and one state are most of them, and what is looked for may be rare.
"""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.rig import rig
from common.caller import Caller
from common.ids import OrgId, first_id_at, new_id
from common.jobs.record import STATES, new_document
from common.jobs.selection import Selection
from common.services import Services

JOBS = 1_000_000
PAGE = 50
BAR = 3.0
KINDS = ("bench.do_nothing", "family.common", "family.rare")
KIND_WEIGHTS = (90, 9.9, 0.1)
STATE_WEIGHTS = (0.5, 0.1, 0.4, 95, 3, 1)
DAYS = 60


def main() -> None:
    """Fill, ask, and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        orgs = [OrgId(new_id()) for _ in range(20)]
        fill(services, orgs)
        print(
            f"listing {PAGE} of {JOBS:,} jobs: keys and documents examined for each one returned; bar <= {BAR:g}"
        )
        worst = max(examine(services, name, selection) for name, selection in selections(orgs))
        print(f"listing: the worst is {worst:.2f}")


def fill(services: Services, orgs: list[OrgId]) -> None:
    """Insert the records; their ids say when they were made."""
    from common.bench.do_nothing import DoNothing

    chance = random.Random(7)
    now = datetime.now(UTC)
    begin = now - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / JOBS
    caller = Caller(org_id=orgs[0], user_id="bench", role="admin", request_id="bench")
    plain = new_document(
        caller, DoNothing(number=1), org_id=orgs[0], job_id=new_id(), now=now, run_at=None, priority=None, tags=()
    )
    weights = [100, *itertools.repeat(1, len(orgs) - 1)]
    for first in range(0, JOBS, 5_000):
        page: list[dict[str, Any]] = []
        for number in range(first, first + 5_000):
            at = begin + number * step
            one_id = f"{first_id_at(at)[:15]}{number & 0xFFF:03x}-8{chance.getrandbits(60):015x}"
            one_id = f"{one_id[:23]}-{one_id[23:]}"
            page.append(
                plain
                | {
                    "_id": one_id,
                    "org_id": chance.choices(orgs, weights)[0],
                    "kind": chance.choices(KINDS, KIND_WEIGHTS)[0],
                    "state": chance.choices(STATES, STATE_WEIGHTS)[0],
                    "created_at": at,
                }
            )
        services.control.jobs.insert_many(page, ordered=False)


def selections(orgs: list[OrgId]) -> list[tuple[str, Selection]]:
    """List what is asked: every filter, of the largest organization and of a small one, and operators' own."""
    week = datetime.now(UTC) - timedelta(days=7)
    recent = datetime.now(UTC) - timedelta(days=1)
    found = []
    for size, org_id in (("large", orgs[0]), ("small", orgs[1])):
        filters: dict[str, dict[str, Any]] = {
            "none": {},
            "kind, common": {"kind": KINDS[0]},
            "kind, rare": {"kind": KINDS[2]},
            "state, common": {"states": ("succeeded",)},
            "state, rare": {"states": ("running",)},
            "kind and state, rare": {"kind": KINDS[2], "states": ("failed",)},
            "since": {"made_after": week},
            "kind, rare, since": {"kind": KINDS[2], "made_after": week},
            "state, rare, since": {"states": ("failed",), "made_after": recent},
        }
        found += [(f"{size}: {name}", Selection(org_id, **one)) for name, one in filters.items()]
    found.append(("operators: none", Selection(None)))
    found.append(("operators: state, failed", Selection(None, states=("failed",))))
    found.append(("operators: state, succeeded", Selection(None, states=("succeeded",))))
    found.append(("operators: since", Selection(None, made_after=week)))
    return found


def examine(services: Services, name: str, selection: Selection) -> float:
    """Print what is examined for the first page and for one in the middle; return the worse ratio."""
    worst = 0.0
    first = services.jobs.select(selection, before=None, limit=2_000)
    for where, before in (
        ("first", None),
        ("later", first[len(first) // 2].id if len(first) > 2 * PAGE else None),
    ):
        if where == "later" and before is None:
            continue
        plan: Any = services.jobs.cursor(selection, before=before, limit=PAGE).explain()
        stats = plan["executionStats"]
        returned = max(1, stats["nReturned"])
        keys, documents = stats["totalKeysExamined"] / returned, stats["totalDocsExamined"] / returned
        print(
            f"  {name:32} {where:6} returned {stats['nReturned']:3}  keys {keys:6.2f}  documents {documents:6.2f}"
            f"  {stats['executionTimeMillis']:4} ms"
        )
        worst = max(worst, keys, documents)
    return worst


if __name__ == "__main__":
    main()
