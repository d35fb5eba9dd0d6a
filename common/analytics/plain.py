"""The plain way to the same statistics: one `$facet` over the tickets; slow over many, and the others' judge."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.analytics.asked import Asked
from common.analytics.statistics import AT_RISK_FROM, SPLITS, response_time
from common.analytics.tops import TOP
from common.tenancy.scope import OrgScope
from common.tickets.collections import LIVE, TICKETS
from common.tickets.counting.facts import RELATIVE_ERROR, UNKNOWN

_NEGATIVE = {"sentiment": "negative", "urgency": "high", "customer_id": {"$nin": [None, ""]}}
_STEP = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)


def of_tickets(scope: OrgScope, asked: Asked) -> dict[str, Any]:
    """Return what the API shows of the tickets that are asked for; of the trends only what is not 0."""
    of_source = {} if asked.source_id is None else {"source_id": asked.source_id}
    where = {**LIVE, **of_source, "created_at": {"$gte": asked.start, "$lt": asked.end}}
    [found] = scope[TICKETS].aggregate([{"$match": where}, {"$facet": facets(asked.tz)}])
    total = found["total"][0]["n"] if found["total"] else 0
    return {
        "total": total,
        **{f"by_{name}": _split(found[name], values) for name, values in SPLITS.items()},
        "requires_action": found["requires_action"][0]["n"] if found["requires_action"] else 0,
        "hourly_trend": _rows(found["hours"], "from", "total") if asked.has_hours else None,
        "daily_trend": _rows(found["days"], "date", "total"),
        "top_keywords": _rows(found["keywords"], "keyword", "tickets"),
        "at_risk_customers": _rows(found["customers"], "customer_id", "tickets"),
        "response_time": response_time({one["_id"]: one["n"] for one in found["responses"]}),
    }


def facets(tz: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return the pipelines that count everything at once."""
    return {
        "total": [{"$count": "n"}],
        **{name: [_counted({"$ifNull": [f"${name}", UNKNOWN]})] for name in SPLITS},
        "requires_action": [{"$match": {"requires_action": True}}, {"$count": "n"}],
        "hours": _trend("%Y-%m-%dT%H:00:00%z", tz),
        "days": _trend("%Y-%m-%d", tz),
        "keywords": [{"$unwind": "$keywords"}, _counted("$keywords"), *_TOP],
        "customers": [
            {"$match": _NEGATIVE},
            _counted("$customer_id"),
            {"$match": {"n": {"$gte": AT_RISK_FROM}}},
            *_TOP,
        ],
        "responses": [{"$match": {"responded_at": {"$type": "date"}}}, _counted(_BUCKET)],
    }


def _counted(by: Any) -> dict[str, Any]:
    return {"$group": {"_id": by, "n": {"$sum": 1}}}


def _trend(form: str, tz: str) -> list[Mapping[str, Any]]:
    return [
        _counted({"$dateToString": {"date": "$created_at", "format": form, "timezone": tz}}),
        {"$sort": {"_id": 1}},
    ]


_TOP: Sequence[Mapping[str, Any]] = ({"$sort": {"n": -1, "_id": 1}}, {"$limit": TOP})
_SECONDS = {"$divide": [{"$subtract": ["$responded_at", "$created_at"]}, 1000]}
_BUCKET = {
    "$cond": [
        {"$lt": [_SECONDS, 1]},
        0,
        {"$add": [{"$floor": {"$divide": [{"$ln": _SECONDS}, {"$ln": _STEP}]}}, 1]},
    ]
}


def _split(rows: Sequence[Mapping[str, Any]], values: Sequence[str]) -> dict[str, int]:
    counts = {one["_id"]: one["n"] for one in rows}
    return {value: counts.get(value, 0) for value in values} | counts


def _rows(rows: Sequence[Mapping[str, Any]], key: str, count: str) -> list[dict[str, Any]]:
    return [{key: one["_id"], count: one["n"]} for one in rows]
