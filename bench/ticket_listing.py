"""Listing 50 tickets of 150,000 by each filter, on skewed data: what is examined for each that is shown; searches.

One organization has most of the tickets, most are closed and not urgent, one source has most of them and one
hardly any, and of the deleted ones many lie side by side, as after a full run.
"""

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from bench.rig import rig
from common.errors import Unavailable
from common.ids import OrgId, new_id
from common.services import Services
from common.tickets import selection
from common.tickets.collections import TICKETS
from common.tickets.selection import Place, Selection
from common.tickets.ticket import document, ticket

TICKETS_IN_ALL = 150_000
SHARE_OF_LARGE = 0.9
PAGE = 50
BAR = 3.0
WORDS = 20_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES = {"large": 80, "twentieth": 5, "other": 14.9, "rare": 0.1}


def main() -> int:
    """Fill, ask, and print."""
    with rig() as made:
        services = Services(made.settings())
        services.prepare()
        orgs = [make_organization(services) for _ in range(5)]
        database = services.control._client["bench_data"]  # noqa: SLF001 (a bench explains what the scope asks)
        fill(database, orgs)
        print(
            f"listing {PAGE} of {TICKETS_IN_ALL:,} tickets: keys and documents examined for each; bar <= {BAR:g}"
        )
        worst = max(
            examine(database, org_id, f"{size}: {name}", asked)
            for size, org_id in (("large", orgs[0]), ("small", orgs[1]))
            for name, asked in selections().items()
        )
        print(f"listing of tickets: the worst is {worst:.2f}")
        print(f"searching, the newest {PAGE} of what is found; w0 is in nine of ten tickets, w19999 in hardly any")
        for words in ("w0", "w10", "w1000", "w19999", "w0 w1", "w0 w1 w2 w19999", '"w0 w1"', '"w0 w1000"'):
            search(services, orgs[0], words)
        return int(worst > BAR)


def make_organization(services: Services) -> OrgId:
    """Put an organization there, without a sign-up."""
    org_id = OrgId(new_id())
    services.control.organizations.insert_one(
        {
            "_id": org_id,
            "name": "Bench",
            "slug": org_id,
            "tier": "enterprise",
            "placement": {"mode": "pooled", "database": "bench_data"},
            "created_at": services.clock.now(),
        }
    )
    return org_id


def fill(database: Any, orgs: list[OrgId]) -> None:
    """Insert the tickets, the oldest first."""
    chance = random.Random(7)
    weights = [SHARE_OF_LARGE, *[(1 - SHARE_OF_LARGE) / (len(orgs) - 1)] * (len(orgs) - 1)]
    page: list[dict[str, Any]] = []
    for number, made in enumerate(tickets(chance)):
        page.append(made | {"org_id": chance.choices(orgs, weights)[0]})
        if len(page) == 2_000 or number == TICKETS_IN_ALL - 1:
            database[TICKETS.name].insert_many(page, ordered=False)
            page = []


def tickets(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Make tickets whose words are as rare as words are."""
    words = [f"w{number}" for number in range(WORDS)]
    common = list(accumulate(1 / (number + 1) for number in range(WORDS)))
    for number in range(TICKETS_IN_ALL):
        said = chance.choices(words, cum_weights=common, k=14)
        texts = {"external_id": str(number), "subject": " ".join(said[:4]), "message": " ".join(said)}
        source_id = chance.choices(list(SOURCES), list(SOURCES.values()))[0]
        made = document(ticket({**texts, "attributes": {}}), source_id=source_id, now=BEGIN)
        at = BEGIN + timedelta(seconds=30 * number)
        made |= {
            "created_at": at,
            "status": chance.choices(["open", "pending", "closed"], [2, 1, 97])[0],
            "urgency": chance.choices(["high", "medium", "low"], [1, 9, 90])[0],
            "sentiment": chance.choices(["negative", "neutral", "positive"], [25, 65, 10])[0],
        }
        if TICKETS_IN_ALL // 2 < number < TICKETS_IN_ALL * 3 // 4 or number % 100 == 0:
            made |= {"deleted_at": at, "deleted_by": "source", "expires_at": at + timedelta(days=36_500)}
        yield made


def selections() -> dict[str, Selection]:
    """List what is asked, with a filter for each index."""
    middle = BEGIN + timedelta(seconds=15 * TICKETS_IN_ALL)
    return {
        "none": Selection(),
        "status, common": Selection(status="closed"),
        "status, rare": Selection(status="pending"),
        "urgency, common": Selection(urgency="low"),
        "urgency, rare": Selection(urgency="high"),
        "source, common": Selection(source_id="large"),
        "source, a twentieth": Selection(source_id="twentieth"),
        "source, rare": Selection(source_id="rare"),
        "deleted": Selection(deleted=True),
        "until": Selection(until=middle),
        "status, rare, until": Selection(status="open", until=middle),
        "urgency, rare, until": Selection(urgency="high", until=middle),
    }


def examine(database: Any, org_id: OrgId, name: str, asked: Selection) -> float:
    """Print what is examined for the first page and for one behind it; return the worse ratio."""
    field = asked.order[0][0]
    found = {"org_id": org_id, **asked.where()}
    behind = list(database[TICKETS.name].find(found, sort=list(asked.order), limit=4 * PAGE))
    places = {"first": None, "later": Place(behind[-1][field], behind[-1]["_id"])} if behind else {"first": None}
    worst = 0.0
    for which, before in places.items():
        told = explained(database, org_id, asked, before)
        shown = max(1, told["nReturned"])
        keys, documents = told["totalKeysExamined"] / shown, told["totalDocsExamined"] / shown
        print(
            f"  {name:28} {which:6} shown {told['nReturned']:3}  keys {keys:6.2f}  documents {documents:6.2f}"
            f"  {told['executionTimeMillis']:4} ms"
        )
        if told["nReturned"] >= PAGE // 2:  # at a list's end there is little to divide by
            worst = max(worst, keys, documents)
    return worst


def explained(database: Any, org_id: OrgId, asked: Selection, before: Place | None) -> dict[str, Any]:
    """Return what the server tells of a page."""
    where = {"org_id": org_id, **asked.where(before)}
    find = {"find": TICKETS.name, "filter": where, "sort": dict(asked.order), "limit": PAGE}
    found: dict[str, Any] = database.command("explain", find, verbosity="executionStats")["executionStats"]
    return found


def search(services: Services, org_id: OrgId, words: str) -> None:
    """Print how long a search takes, as the API asks for it."""
    started = time.perf_counter()
    try:
        found = len(
            selection.page(services.scope(org_id), Selection(words=words), before=None, limit=PAGE).documents
        )
        said = f"shown {found:3}"
    except Unavailable:
        said = "too many"
    print(f"  {words:28} {said}  {(time.perf_counter() - started) * 1000:6.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
