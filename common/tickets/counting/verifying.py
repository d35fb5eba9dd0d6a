"""What is kept of the counts against the tickets: days against tickets, octets against days, and so on.

Each step is one transaction. What is kept and what still waits in deltas must come to what the tickets of the same
moment come to, so others may write and fold meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from common.tenancy.scope import OrgScope
from common.tickets.collections import LIVE, TICKETS
from common.tickets.counting.cells import DAY, OCTET, QUARTERS_A_DAY, SPAN_64, SPANS, K, day_of, start_of_day
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.folding import find_rollups, replace
from common.tickets.counting.recount import recount
from common.tickets.counting.sums import Key, Rollup, summed

MANY = 50_000
"""An octet with more tickets is counted day by day, so that no transaction takes too long."""

_OCTETS = SPAN_64 // OCTET


@dataclass(frozen=True)
class Drift:
    """A count that is kept otherwise than it is: in *cell* of a rollup, or a quarter hour's total (`quarters`)."""

    source_id: str | None
    span: int
    block: int
    cell: str
    group: str
    key: str
    kept: int
    counted: int


@dataclass
class Verified:
    """What a step found: how many tickets it counted, and what differed."""

    tickets: int = 0
    drifts: list[Drift] = field(default_factory=list)


Step = Callable[[OrgScope], Verified]


def octets(scope: OrgScope, after: int | None = None) -> Iterator[int]:
    """Go through the numbers of the octets that have tickets or rollups, after that one."""
    sources = [None, *scope[ROLLUPS].distinct("source_id", {"source_id": {"$type": "string"}})]
    while (found := _next(scope, sources, after)) is not None:
        yield found
        after = found


def steps_of(scope: OrgScope, octet: int, after: int | None, *, repair: bool) -> Iterator[Step]:
    """Go through the transactions that verify an octet, the next one *after* that one: its days, then their sum.

    The first of another 64 days begins with the sum of those that are done; `last_step` sums up the last ones.
    """
    if after is not None and after // _OCTETS != octet // _OCTETS:
        yield last_step(after, repair=repair)
    for first, days in _parts_of(scope, octet):
        yield partial(verify_days, first=first, days=days, repair=repair)
    yield partial(verify_sums, span=OCTET, block=octet, repair=repair)


def last_step(octet: int, *, repair: bool) -> Step:
    """Return the transaction that verifies the sum of the 64 days whose last octet is done."""
    return partial(verify_sums, span=SPAN_64, block=octet // _OCTETS, repair=repair)


def _parts_of(scope: OrgScope, octet: int) -> list[tuple[int, int]]:
    """Return the days of an octet in parts that are counted at once: (first, how many)."""
    created = {"$gte": start_of_day(octet * OCTET), "$lt": start_of_day((octet + 1) * OCTET)}
    count = scope[TICKETS].count_documents({"created_at": created, **LIVE}, limit=MANY + 1)
    first = octet * OCTET
    return [(first, OCTET)] if count <= MANY else [(first + number, 1) for number in range(OCTET)]


def verify_days(scope: OrgScope, first: int, days: int, *, repair: bool) -> Verified:
    """Hold the rollups of some days of one octet against their tickets; call it in a transaction."""
    counted = recount(scope, first, days)
    octet = first // OCTET
    wanted = summed(counted.parts())
    _take_away_waiting(scope, wanted, range(first, first + days))
    sources = _sources(scope, wanted)
    keys = [Key(source, DAY, day) for source in sources for day in range(first, first + days)]
    found = find_rollups(scope, [*keys, *(Key(source, OCTET, octet) for source in sources)])
    result = Verified(counted.weight)
    due = {key: wanted.get(key, Rollup()) for key in keys}
    for source in sources:
        key = Key(source, OCTET, octet)
        kept = found[key][1] if key in found else Rollup()
        due[key] = Rollup(kept.cells, _quarters(kept, wanted.get(key, Rollup()), first, days))
    _settle(scope, found, due, result, repair=repair)
    return result


def verify_sums(scope: OrgScope, span: int, block: int, *, repair: bool) -> Verified:
    """Hold the rollups of a larger span against the smaller ones that they sum up; call it in a transaction."""
    smaller = SPANS[SPANS.index(span) - 1]
    many = span // smaller
    sources = _sources(scope, ())
    parts = [Key(source, smaller, block * many + number) for source in sources for number in range(many)]
    keys = [Key(source, span, block) for source in sources]
    found = find_rollups(scope, [*parts, *keys])
    due = {key: Rollup(quarters=found[key][1].quarters if key in found else {}) for key in keys}
    for part in parts:
        if part in found:
            whole = due[Key(part.source_id, span, block)]
            for groups in found[part][1].cells.values():
                whole.add(Rollup({"0": groups}))
    result = Verified()
    _settle(scope, {key: found[key] for key in keys if key in found}, due, result, repair=repair)
    return result


def _settle(
    scope: OrgScope,
    found: Mapping[Key, tuple[str, Rollup]],
    due: Mapping[Key, Rollup],
    result: Verified,
    *,
    repair: bool,
) -> None:
    wrong: dict[Key, Rollup] = {}
    for key, wanted in due.items():
        kept = found[key][1] if key in found else Rollup()
        drifts = list(_drifts(key, kept, wanted))
        if drifts:
            wrong[key] = wanted
            result.drifts += drifts
    if repair and wrong:
        replace(scope, [found[key][0] for key in wrong if key in found], wrong)


def _drifts(key: Key, kept: Rollup, wanted: Rollup) -> Iterator[Drift]:
    for cell in kept.cells.keys() | wanted.cells.keys():
        ours, theirs = kept.cells.get(cell, {}), wanted.cells.get(cell, {})
        for group in ours.keys() | theirs.keys():
            mine, right = ours.get(group, {}), theirs.get(group, {})
            if mine is not None and right is not None:  # of what is crowded nothing is kept
                yield from _differences(mine, right, lambda *rest: Drift(*key, cell, group, *rest))  # noqa: B023
    yield from _differences(kept.quarters, wanted.quarters, lambda *rest: Drift(*key, "", "quarters", *rest))


def _differences(
    kept: Mapping[K, int], wanted: Mapping[K, int], make: Callable[[str, int, int], Drift]
) -> Iterator[Drift]:
    for name in kept.keys() | wanted.keys():
        if kept.get(name, 0) != wanted.get(name, 0):
            yield make(str(name), kept.get(name, 0), wanted.get(name, 0))


def _take_away_waiting(scope: OrgScope, wanted: dict[Key, Rollup], days: range) -> None:
    waiting = summed(part for one in scope[DELTAS].find() for part in one["parts"] if part["day"] in days)
    for key, change in waiting.items():
        wanted.setdefault(key, Rollup()).add(change, -1)


def _quarters(kept: Rollup, counted: Rollup, first: int, days: int) -> dict[int, int]:
    """Return an octet's quarter hours as they should be, where only some of its days were counted."""
    start = first % OCTET * QUARTERS_A_DAY
    within = range(start, start + days * QUARTERS_A_DAY)
    others = {number: total for number, total in kept.quarters.items() if number not in within}
    return others | counted.quarters


def _sources(scope: OrgScope, wanted: Iterable[Key]) -> list[str | None]:
    known = scope[ROLLUPS].distinct("source_id", {"source_id": {"$type": "string"}})
    return [None, *sorted({*known, *(key.source_id for key in wanted if key.source_id is not None)})]


def _next(scope: OrgScope, sources: Iterable[str | None], after: int | None) -> int | None:
    """Return the first octet after that one in which anything is."""
    created = {} if after is None else {"created_at": {"$gte": start_of_day((after + 1) * OCTET)}}
    order = [("created_at", 1), ("_id", 1)]
    tickets = scope[TICKETS].find({**created, **LIVE}, projection={"created_at": 1}, sort=order, limit=1)
    found = [day_of(one["created_at"]) // OCTET for one in tickets]
    for source in sources:
        for span in SPANS:
            later = {} if after is None else {"block": {"$gte": -(-(after + 1) * OCTET // span)}}
            where = {"source_id": source, "span": span, **later}
            rollups = scope[ROLLUPS].find(where, projection={"block": 1}, sort=[("block", 1)], limit=1)
            found += [one["block"] * span // OCTET for one in rollups]
    return min(found, default=None)
