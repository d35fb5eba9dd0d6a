"""How long jobs wait before they begin, as a histogram by organization: at most 2 % off, however many they are."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

RELATIVE_ERROR = 0.02
_LOG_OF_STEP = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))

Histogram = Mapping[str, int]
"""How many jobs are in each bucket of milliseconds, the first of which holds all below 1."""


def steps(org_ids: Sequence[str], first_id: str, now: datetime) -> list[Mapping[str, Any]]:
    """Return the pipeline over jobs, from *first_id* on, that counts them by organization and bucket.

    A job waits from when it was made, or is due, until it first begins; one that is still queued, until *now*.
    """
    due_at = {"$max": ["$created_at", "$run_at"]}
    waited_ms = {"$max": [1, {"$subtract": [{"$ifNull": ["$started_at", now]}, due_at]}]}
    begun_or_queued = {"$or": [{"started_at": {"$type": "date"}}, {"state": "queued"}]}
    return [
        {"$match": {"org_id": {"$in": list(org_ids)}, "_id": {"$gte": first_id}, **begun_or_queued}},
        {"$project": {"org_id": 1, "bucket": {"$floor": {"$divide": [{"$ln": waited_ms}, _LOG_OF_STEP]}}}},
        {"$group": {"_id": {"org_id": "$org_id", "bucket": "$bucket"}, "jobs": {"$sum": 1}}},
    ]


def bucket_of(waited_ms: float) -> int:
    """Return the bucket of a time, as the pipeline does."""
    return math.floor(math.log(max(1, waited_ms)) / _LOG_OF_STEP)


def histograms(found: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return what the pipeline gave, organization by organization."""
    known: dict[str, dict[str, int]] = {}
    for one in found:
        known.setdefault(one["_id"]["org_id"], {})[str(int(one["_id"]["bucket"]))] = one["jobs"]
    return known


def added(some: Iterable[Histogram]) -> Histogram:
    """Return the histogram of all the jobs of *some*."""
    total: Counter[str] = Counter()
    for one in some:
        total.update(one)
    return total


def percentile_s(histogram: Histogram, percent: int) -> float | None:
    """Return by nearest rank within which time *percent* of the jobs began; `None` of no jobs."""
    left = math.ceil(sum(histogram.values()) * percent / 100)
    for bucket in sorted(map(int, histogram)):
        left -= histogram[str(bucket)]
        if left <= 0:
            return round(math.exp(bucket * _LOG_OF_STEP) * (1 + RELATIVE_ERROR) / 1000, 6)
    return None
