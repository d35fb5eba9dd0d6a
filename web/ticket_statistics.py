"""Statistics of an organization's tickets over a range of time."""

from datetime import timedelta
from typing import Any

import marshmallow as ma
from flask import Response
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from common.analytics.asked import DAYS_MAX, HOURLY_DAYS_MAX, ask
from common.analytics.statistics import AT_RISK_FROM
from common.analytics.tops import TOP
from common.errors import Unavailable
from web.contract import replies
from web.contract.authentication import caller, requires
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.contract.shapes import Shape, instant
from web.ticket_import_form import SOURCE_MAX_CHARS

blueprint = Blueprint("ticket statistics", __name__, tag="Analytics", scope="tickets")
_DEFAULT_RANGE = timedelta(days=30)
ZONE_MAX_CHARS = 64


class StatisticsQuery(ma.Schema):
    """Which tickets to count, by `created_at`."""

    start = Instant(
        load_default=None,
        data_key="from",
        metadata={"description": "counted from this instant on; 30 days before `to` if it is left out"},
    )
    end = Instant(
        load_default=None,
        data_key="to",
        metadata={
            "description": f"up to before this instant, at most {DAYS_MAX} days later; now if it is left out"
        },
    )
    tz = ma.fields.String(
        load_default="UTC",
        validate=ma.validate.Length(1, ZONE_MAX_CHARS),
        metadata={"description": "the zone of days and hours, by its IANA name", "example": "Europe/Berlin"},
    )
    source_id = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, SOURCE_MAX_CHARS),
        metadata={"description": "of this source only"},
    )


def _counts() -> ma.fields.Dict:
    return ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer())


class HourSchema(Shape):
    """An hour of the zone, and how many tickets it has."""

    start = ma.fields.String(data_key="from", metadata={"format": "date-time"})
    total = ma.fields.Integer()


class DaySchema(Shape):
    """A day of the zone, and how many tickets it has."""

    date = ma.fields.String(metadata={"format": "date"})
    total = ma.fields.Integer()


class KeywordSchema(Shape):
    """A word, and how many tickets are about it."""

    keyword = ma.fields.String()
    tickets = ma.fields.Integer()


class AtRiskSchema(Shape):
    """A customer, and how many of its tickets are negative and of high urgency."""

    customer_id = ma.fields.String()
    tickets = ma.fields.Integer()


class ResponseTimeSchema(Shape):
    """How long tickets of which that is known were open before they first were not, in seconds."""

    tickets = ma.fields.Integer()
    p50_s = ma.fields.Float(allow_none=True)
    p90_s = ma.fields.Float(allow_none=True)
    p95_s = ma.fields.Float(allow_none=True)
    p99_s = ma.fields.Float(allow_none=True)
    relative_error = ma.fields.Float(
        metadata={"description": "how far off each may be; what took less than a second is shown as half of one"}
    )


class RangeSchema(Shape):
    """From when on, and up to before when."""

    start = ma.fields.String(data_key="from", metadata={"format": "date-time"})
    end = ma.fields.String(data_key="to", metadata={"format": "date-time"})


class TicketStatisticsSchema(Shape):
    """What tickets come to."""

    range = ma.fields.Nested(RangeSchema)
    tz = ma.fields.String()
    source_id = ma.fields.String(allow_none=True)
    total = ma.fields.Integer()
    by_status = _counts()
    by_urgency = _counts()
    by_sentiment = _counts()
    requires_action = ma.fields.Integer()
    hourly_trend = ma.fields.List(
        ma.fields.Nested(HourSchema),
        allow_none=True,
        metadata={
            "description": f"each hour, also those without a ticket; null for more than {HOURLY_DAYS_MAX} days"
        },
    )
    daily_trend = ma.fields.List(
        ma.fields.Nested(DaySchema), metadata={"description": "each day, also those without a ticket"}
    )
    top_keywords = ma.fields.List(ma.fields.Nested(KeywordSchema), metadata={"description": f"at most {TOP}"})
    at_risk_customers = ma.fields.List(
        ma.fields.Nested(AtRiskSchema),
        metadata={"description": f"at most {TOP}, each with {AT_RISK_FROM} such tickets or more"},
    )
    response_time = ma.fields.Nested(ResponseTimeSchema)
    as_of = instant()


EXAMPLE: dict[str, Any] = {
    "range": {"from": "2026-01-30T23:00:00.000Z", "to": "2026-01-31T01:30:00.000Z"},
    "tz": "Europe/Berlin",
    "source_id": None,
    "total": 3,
    "by_status": {"open": 1, "pending": 0, "resolved": 2, "closed": 0},
    "by_urgency": {"low": 0, "medium": 1, "high": 2},
    "by_sentiment": {"negative": 2, "neutral": 1, "positive": 0},
    "requires_action": 2,
    "hourly_trend": [
        {"from": "2026-01-31T00:00:00+01:00", "total": 2},
        {"from": "2026-01-31T01:00:00+01:00", "total": 0},
        {"from": "2026-01-31T02:00:00+01:00", "total": 1},
    ],
    "daily_trend": [{"date": "2026-01-31", "total": 3}],
    "top_keywords": [{"keyword": "refund", "tickets": 2}, {"keyword": "invoice", "tickets": 1}],
    "at_risk_customers": [{"customer_id": "c-9", "tickets": 2}],
    "response_time": {
        "tickets": 2,
        "p50_s": 840.2,
        "p90_s": 3644.9,
        "p95_s": 3644.9,
        "p99_s": 3644.9,
        "relative_error": 0.02,
    },
    "as_of": "2026-01-31T09:30:00.000Z",
}


@blueprint.route("/v1/analytics/tickets", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(StatisticsQuery, location="query")
@blueprint.response(200, TicketStatisticsSchema, example=EXAMPLE)
def get_ticket_statistics(query: dict[str, Any]) -> Response:
    """Count the organization's tickets, in the database and exactly; of one moment, whatever changes meanwhile."""
    end = query["end"] or services().clock.now()
    asked = ask(query["start"] or end - _DEFAULT_RANGE, end, query["tz"], query["source_id"])
    try:
        found = services().statistics.of_tickets(caller().org_id, asked)
    except (ExecutionTimeout, NetworkTimeout) as error:
        raise Unavailable("That takes too long to count at this moment. Ask for a shorter range.") from error
    return replies.one(found)
