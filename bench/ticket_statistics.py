"""Statistics of a year's tickets from rollups against the plain `$facet`; and of 1,000,000 against 10,000 tickets.

One organization has most of the tickets of the database, of three sources; words and customers are skewed.
`BENCH_TICKETS` makes it smaller.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
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
QUESTIONS, PLAIN_QUESTIONS = 60, 25


def main() -> int:
    """Fill, ask, and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        large, small, *others = (make_organization(services) for _ in range(2 + OTHERS))
        for org_id, count in ((large, LARGE), (small, SMALL), *((one, LARGE // 20) for one in others)):
            fill(services.scope(org_id), count)
        print(f"statistics of {LARGE:,} tickets of a year, three sources, all fields, random ranges, in ms")
        whole = [Asked(BEGIN, BEGIN + timedelta(days=DAYS))]
        compare(services, large, "the whole year", whole)
        of_all = compare(services, large, "all sources", questions(random.Random(5), PLAIN_QUESTIONS, (None,)))
        compare(services, large, "one source", questions(random.Random(6), PLAIN_QUESTIONS, SOURCES))
        many, few = (
            timed(services, org_id, questions(random.Random(7), QUESTIONS, (None, *SOURCES)))
            for org_id in (large, small)
        )
        growth = median(many) / median(few)
        print(f"bar {BAR:g} times faster of all sources, aim {AIM:g}")
        print(
            f"from {SMALL:,} to {LARGE:,} tickets: {spread(few)} to {spread(many)},"
            f" {growth:.2f} times as long; bar {GROWTH_BAR:g}"
        )
        explain(services, large)
        return int(of_all < BAR or growth > GROWTH_BAR)


def compare(services: Services, org_id: OrgId, what: str, asked: list[Asked]) -> float:
    """Ask each question both ways, print a row, and return how many times faster rollups are, by the median."""
    ours = timed(services, org_id, asked)
    facet = [took_s(partial(plain.of_tickets, services.scope(org_id), one)) for one in asked]
    times, together = [theirs / mine for mine, theirs in zip(ours, facet, strict=True)], sum(facet) / sum(ours)
    print(
        f"{what:16} rollups {spread(ours):24} one $facet {spread(facet):30}"
        f" {median(times):.0f} times faster ({min(times):.0f}-{max(times):.0f}), all together {together:.0f}"
    )
    return median(times)


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


def questions(chance: random.Random, count: int, sources: Sequence[str | None]) -> list[Asked]:
    """Make random questions about the year, to the millisecond, of the *sources* in turn."""
    found = []
    for number in range(count):
        start, end = sorted(BEGIN + timedelta(milliseconds=chance.randrange(DAYS * 86_400_000)) for _ in range(2))
        asked = Asked(start, end + timedelta(seconds=1), chance.choice(ZONES), sources[number % len(sources)])
        found.append(asked)
    return found


def timed(services: Services, org_id: OrgId, asked: Iterable[Asked]) -> list[float]:
    """Return how many seconds each answer took: the median of five, after one that is not counted."""
    found = []
    for one in asked:
        ask = partial(services.statistics.of_tickets, org_id, one)
        ask()
        found.append(median([took_s(ask) for _ in range(5)]))
    return found


def took_s(work: Callable[[], object]) -> float:
    """Return how long *work* takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(seconds: list[float]) -> str:
    """Return the median and the ends, in milliseconds."""
    return f"{median(seconds) * 1e3:.1f} ({min(seconds) * 1e3:.1f}-{max(seconds) * 1e3:.1f})"


def explain(services: Services, org_id: OrgId) -> None:
    """Print what the queries of an answer examine."""
    database = services.control._client["bench_data"]  # noqa: SLF001 (a bench explains what the scope asks)
    asked = questions(random.Random(8), 1, (None,))[0]
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
