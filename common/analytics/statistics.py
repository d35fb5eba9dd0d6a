"""The statistics of an organization's tickets: exact but for response times, whose error is said."""

import math
from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import Any, get_args

from common.analytics.asked import Asked
from common.analytics.reading import Summed, read
from common.analytics.tops import TOP
from common.analytics.trends import by_day, by_hour
from common.clock import Clock, rfc3339
from common.ids import OrgId
from common.tenancy.scope import OrgScope
from common.tickets.attributes import unescape
from common.tickets.classifying.classifier import SentimentClass, UrgencyClass
from common.tickets.counting.facts import RELATIVE_ERROR, UNKNOWN, middle_of
from common.tickets.ticket import STATUSES

AT_RISK_FROM = 2
"""How many negative tickets that can't wait put a customer at risk."""

PERCENTILES = (50, 90, 95, 99)
SPLITS: Mapping[str, tuple[str, ...]] = {
    "status": STATUSES,
    "urgency": get_args(UrgencyClass),
    "sentiment": get_args(SentimentClass),
}
"""The fields that tickets are split by, with the values that are always shown."""


class Statistics:
    """The statistics of all organizations, each asked for with its organization."""

    def __init__(self, scope_of: Callable[[OrgId], OrgScope], clock: Clock) -> None:
        self._scope_of = scope_of
        self._clock = clock

    def of_tickets(self, org_id: OrgId, asked: Asked) -> dict[str, Any]:
        """Return what the tickets come to that are asked for, in the shape that the API shows.

        It is of one moment, whatever changes meanwhile. Raises `PyMongoError` after 20 seconds.
        """
        as_of = self._clock.now()
        found = self._scope_of(org_id).at_one_moment(lambda scope: read(scope, asked))
        return {
            "range": {"from": rfc3339(asked.start), "to": rfc3339(asked.end)},
            "tz": asked.tz,
            "source_id": asked.source_id,
            **shown(found, asked),
            "as_of": rfc3339(as_of),
        }


def shown(found: Summed, asked: Asked) -> dict[str, Any]:
    """Return what was summed up as the API shows it."""
    counts, zone = found.groups["counts"], asked.zone
    customers = {unescape(key): n for key, n in found.groups["customers"].items() if n >= AT_RISK_FROM}
    return {
        "total": counts.get("total", 0),
        **{f"by_{name}": _split(counts, name, values) for name, values in SPLITS.items()},
        "requires_action": counts.get("requires_action", 0),
        "hourly_trend": by_hour(found.totals, zone) if asked.has_hours else None,
        "daily_trend": by_day(found.totals, zone),
        "top_keywords": [{"keyword": word, "tickets": n} for word, n in _top(found.groups["keywords"])],
        "at_risk_customers": [{"customer_id": one, "tickets": n} for one, n in _top(customers)],
        "response_time": response_time({int(key): n for key, n in found.groups["responses"].items()}),
    }


def response_time(buckets: Mapping[int, int]) -> dict[str, Any]:
    """Return the percentiles (nearest rank) of times of which is known how many are in each bucket."""
    total = sum(buckets.values())
    found: dict[str, Any] = {"tickets": total}
    for percent in PERCENTILES:
        found[f"p{percent}_s"] = _at_rank(buckets, math.ceil(total * percent / 100)) if total else None
    return found | {"relative_error": RELATIVE_ERROR}


def _at_rank(buckets: Mapping[int, int], rank: int) -> float:
    passed = 0
    for bucket in sorted(buckets):
        passed += buckets[bucket]
        if passed >= rank:
            break
    return round(middle_of(bucket), 3)


def _split(counts: Mapping[str, int], name: str, values: tuple[str, ...]) -> dict[str, int]:
    found = {value: counts.get(f"{name}:{value}", 0) for value in values}
    unknown = counts.get(f"{name}:{UNKNOWN}", 0)
    return found | ({UNKNOWN: unknown} if unknown else {})


def _top(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the largest counts, the equal ones by their keys."""
    least = min(nlargest(TOP, counts.values()), default=0)
    among = [one for one in counts.items() if one[1] >= max(least, 1)]
    return sorted(among, key=lambda one: (-one[1], one[0]))[:TOP]
