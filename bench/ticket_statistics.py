"""Statistics of a year's tickets from rollups against the plain `$facet`; and of 1,000,000 against 10,000 tickets.

One organization has most of the tickets of the database, of three sources; words and customers are skewed.
`BENCH_TICKETS` makes it smaller.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from statistics import median
from typing import Any

from bench.rig import rig
from bench.ticket_listing import make_organization
from common.analytics import plain
from common.analytics.asked import Asked
from common.analytics.ranges import cut
from common.ids import OrgId, new_id
from common.services import Services
from common.tenancy.scope import OrgScope
from common.tickets.collections import TICKETS
from common.tickets.counting.collections import ROLLUPS
from common.tickets.counting.verifying import last_step, octets, steps_of

LARGE = int(os.environ.get("BENCH_TICKETS", "1000000"))
SMALL = LARGE // 100
OTHERS = 4
BAR, AIM, GROWTH_BAR = 100.0, 500.0, 3.0
BEGIN, DAYS = datetime(2025, 1, 1, tzinfo=UTC), 365
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")
SOURCES = ("desk", "mail", "chat")
WORDS, CUSTOMERS = 5_000, 20_000
BATCH = 5_000
QUESTIONS, PLAIN_QUESTIONS = 60, 15


def main() -> int:
    """Fill, ask, and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        large, small, *others = (make_organization(services) for _ in range(2 + OTHERS))
        for org_id, count in ((large, LARGE), (small, SMALL), *((one, LARGE // 20) for one in others)):
            fill(services.scope(org_id), count)
        chance = random.Random(5)
        print(f"statistics of {LARGE:,} tickets of a year, three sources, all fields, random ranges, in ms")
        ours = timed(services, large, questions(chance, QUESTIONS))
        both = list(questions(chance, PLAIN_QUESTIONS))
        facet = [took_s(lambda asked=asked: plain.of_tickets(services.scope(large), asked)) for asked in both]
        times_of = [theirs / mine for theirs, mine in zip(facet, timed(services, large, iter(both)), strict=True)]
        whole = Asked(BEGIN, BEGIN + timedelta(days=DAYS))
        whole_ours, whole_facet = (
            median(took_s(lambda: services.statistics.of_tickets(large, whole)) for _ in range(9)),
            took_s(lambda: plain.of_tickets(services.scope(large), whole)),
        )
        theirs = timed(services, small, questions(chance, QUESTIONS))
        ratio, growth = median(times_of), median(ours) / median(theirs)
        show("from rollups", ours)
        show("by one $facet", facet)
        times = whole_facet / whole_ours
        print(f"the whole year: {whole_ours * 1e3:.1f} against {whole_facet * 1e3:.0f}: {times:.0f} times faster")
        print(
            f"random ranges, each asked both ways: {ratio:.0f} times faster"
            f" ({min(times_of):.0f}-{max(times_of):.0f}); bar {BAR:g}, aim {AIM:g}"
        )
        show(f"of {SMALL:,} tickets", theirs)
        print(f"a hundred times as many tickets take {growth:.2f} times as long; bar {GROWTH_BAR:g}")
        explain(services, large, chance)
        return int(ratio < BAR or growth > GROWTH_BAR)


def fill(scope: OrgScope, count: int) -> None:
    """Put tickets there as no job would, and let the verification count them."""
    made = tickets(count)
    while batch := list(islice(made, BATCH)):
        scope[TICKETS].insert_many(batch)
    after = None
    for octet in octets(scope):
        for step in steps_of(scope, octet, after, repair=True):
            scope.transaction(step)
        after = octet
    if after is not None:
        scope.transaction(last_step(after, repair=True))


def tickets(count: int) -> Iterator[dict[str, Any]]:
    """Make tickets one after the other, evenly over the year."""
    chance = random.Random(count)
    words, weights = [f"word{number}" for number in range(WORDS)], skewed(WORDS)
    customers, of_customers = [f"c-{number}" for number in range(CUSTOMERS)], skewed(CUSTOMERS)
    for number in range(count):
        created_at = BEGIN + timedelta(days=DAYS) * number / count
        found = list(dict.fromkeys(chance.choices(words, cum_weights=weights, k=8)))
        is_answered = chance.random() < 0.6
        yield {
            "_id": new_id(),
            "source_id": chance.choices(SOURCES, (70, 20, 10))[0],
            "natural_key": f"id:{number}",
            "content_hash": str(number),
            "subject": None,
            "message": f"ticket {number}",
            "status": chance.choice(("open", "pending", "resolved", "closed")),
            "urgency": chance.choices(("low", "medium", "high"), (5, 3, 2))[0],
            "sentiment": chance.choices(("negative", "neutral", "positive"), (3, 5, 2))[0],
            "requires_action": chance.random() < 0.4,
            "keywords": found,
            "customer_id": chance.choices(customers, cum_weights=of_customers)[0],
            "created_at": created_at.replace(microsecond=created_at.microsecond // 1000 * 1000),
            "deleted_at": None,
            **(
                {"responded_at": created_at + timedelta(seconds=chance.lognormvariate(8, 2))}
                if is_answered
                else {}
            ),
        }


def skewed(count: int) -> list[float]:
    """Return cumulated weights of which the n-th is as 1 to n."""
    return list(accumulate(1 / (number + 1) for number in range(count)))


def questions(chance: random.Random, count: int) -> Iterator[Asked]:
    """Make random questions about the year: to the millisecond, of one source or of all."""
    for _ in range(count):
        start, end = sorted(BEGIN + timedelta(milliseconds=chance.randrange(DAYS * 86_400_000)) for _ in range(2))
        yield Asked(start, end + timedelta(seconds=1), chance.choice(ZONES), chance.choice((None, None, *SOURCES)))


def timed(services: Services, org_id: OrgId, asked: Iterator[Asked]) -> list[float]:
    """Return how many seconds each answer took, the second time that it was asked."""
    found = []
    for one in asked:
        services.statistics.of_tickets(org_id, one)
        found.append(took_s(lambda one=one: services.statistics.of_tickets(org_id, one)))
    return found


def took_s(work: Callable[[], object]) -> float:
    """Return how long *work* takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def show(what: str, seconds: list[float]) -> None:
    """Print a row."""
    print(
        f"{what:28} median {median(seconds) * 1e3:9.1f}   {min(seconds) * 1e3:9.1f} to {max(seconds) * 1e3:9.1f}"
    )


def explain(services: Services, org_id: OrgId, chance: random.Random) -> None:
    """Print what the queries of an answer examine."""
    database = services.control._client["bench_data"]  # noqa: SLF001 (a bench explains what the scope asks)
    asked = next(questions(chance, 1))
    parts = cut(asked.start, asked.end)
    by_span: dict[int, list[int]] = {}
    for block in parts.blocks:
        by_span.setdefault(block.span, []).append(block.number)
    clauses = [{"source_id": None, "span": span, "block": {"$in": numbers}} for span, numbers in by_span.items()]
    ends = [{"created_at": {"$gte": one.start, "$lt": one.end}} for one in parts.pieces]
    octets_of = {"source_id": None, "span": 8, "block": {"$gte": 0, "$lte": 10**6}}
    for name, collection, where in (
        ("rollups", ROLLUPS.name, {"org_id": org_id, "$or": clauses}),
        ("octets' quarter hours", ROLLUPS.name, {"org_id": org_id, **octets_of}),
        ("tickets of the ends", TICKETS.name, {"org_id": org_id, "deleted_at": None, "$or": ends}),
    ):
        query = {"find": collection, "filter": where}
        stats = database.command({"explain": query, "verbosity": "executionStats"})["executionStats"]
        print(
            f"{name:24} {stats['totalKeysExamined']:>7} keys, {stats['totalDocsExamined']:>6} documents examined"
            f" for {stats['nReturned']:>6}"
        )


if __name__ == "__main__":
    sys.exit(main())
