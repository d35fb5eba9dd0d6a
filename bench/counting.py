"""What counting adds to bringing tickets in: pages planned and written, with it and with nothing in its place.

Both sides look up, plan, classify and write the same pages into an organization of their own; with counting each
page has its delta, and what waits is folded as often as jobs do it. In order of time, and shuffled over a year.
"""

import gc
import random
import sys
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from statistics import median
from unittest.mock import patch

from bench.rig import pairs, report, rig
from bench.ticket_listing import make_organization
from common.ids import JobId, new_id
from common.services import Services
from common.tenancy.scope import OrgScope
from common.tickets import revising, sync
from common.tickets.counting.folding import fold_all
from common.tickets.sync import Incoming, Plan
from common.tickets.ticket import Ticket, ticket
from deploy.local.sample_tickets import message
from workers.tickets.folding import FOLDED_EVERY

TICKETS = 30_000
PAGE = 100
BEGIN, YEAR = datetime(2025, 1, 1, tzinfo=UTC), timedelta(days=365)
BAR = 1.5


def main() -> int:
    """Measure and print."""
    worst = 0.0
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        for name, is_shuffled in (("tickets in order of time", False), ("tickets shuffled over a year", True)):
            incoming = records(is_shuffled=is_shuffled)
            gc.collect()
            gc.freeze()  # a job holds a page of them, and its collector has no more to look through
            took_s(services, incoming[: TICKETS // 10])  # both sides find the server warm
            found = pairs(
                lambda incoming=incoming: took_s(services, incoming),  # type: ignore[misc]
                lambda incoming=incoming: took_s(services, incoming, nothing_counted()),  # type: ignore[misc]
            )
            report(f"counting {name}", found, "s", f"<= {BAR:g}")
            worst = max(worst, median(ours / plain for ours, plain in found))
    return int(worst > BAR)


def records(*, is_shuffled: bool) -> list[Incoming]:
    """Make what a source shows of a year, page by page."""
    chance = random.Random(1)
    instants = [BEGIN + YEAR * number / TICKETS for number in range(TICKETS)]
    if is_shuffled:
        chance.shuffle(instants)
    return [
        Incoming(
            f"id:{number}",
            f"hash {number}",
            {
                "external_id": str(number),
                "customer_id": f"c{chance.randrange(2_000)}",
                "message": message(chance, number),
                "created_at": at.replace(microsecond=0),
                "attributes": {},
            },
            None,
        )
        for number, at in enumerate(instants)
    ]


def nothing_counted() -> AbstractContextManager[object]:
    """Put nothing in the place of deltas and keywords."""
    both = ExitStack()
    both.enter_context(patch.object(sync, "delta_of", lambda _changes: None))
    both.enter_context(patch.object(revising, "keywords", lambda _subject, _message: []))
    return both


def took_s(
    services: Services, incoming: list[Incoming], without: AbstractContextManager[object] | None = None
) -> float:
    """Return how long an organization takes to take all of them in."""
    scope = services.scope(make_organization(services))
    waiting = 0
    with without or nullcontext():
        began = time.perf_counter()
        for first in range(0, len(incoming), PAGE):
            page = plan(services, scope, incoming[first : first + PAGE])
            scope.transaction(page.write)
            waiting += page.delta["weight"] if page.delta is not None else 0
            if waiting >= FOLDED_EVERY or (waiting and first + PAGE >= len(incoming)):
                waiting = 0
                fold_all(scope)
        return time.perf_counter() - began


def plan(services: Services, scope: OrgScope, page: list[Incoming]) -> Plan:
    """Return what a page comes to."""

    def make(one: Incoming) -> Ticket:
        return ticket(one.raw)

    return sync.plan(
        scope, source_id="bench", incoming=page, make=make, job_id=JobId(new_id()), now=services.clock.now()
    )


if __name__ == "__main__":
    sys.exit(main())
