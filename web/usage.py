"""What an organization uses of what its tier gives."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.analytics.nearness import WARNS_AT
from common.metering.kept import KEPT_DAYS
from web.contract import replies
from web.contract.authentication import caller, requires
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.services import services
from web.contract.shapes import Shape, instant

blueprint = Blueprint("usage", __name__, tag="Analytics", scope="organization")


class UsageQuery(ma.Schema):
    """Of which time."""

    start = Instant(
        load_default=None,
        data_key="from",
        metadata={"description": "from the hour of this instant on; the month's beginning if it is left out"},
    )
    end = Instant(
        load_default=None,
        data_key="to",
        metadata={
            "description": f"up to the end of the hour before this instant, at most {KEPT_DAYS} days later; now if"
            " it is left out"
        },
    )


class UsageRangeSchema(Shape):
    """Whole hours of UTC."""

    start = ma.fields.String(data_key="from", metadata={"format": "date-time"})
    end = ma.fields.String(data_key="to", metadata={"format": "date-time"})


class RequestsUsedSchema(Shape):
    """Requests that came with the organization's credentials."""

    total = ma.fields.Integer(metadata={"description": "in the range, also those that were refused"})
    refused = ma.fields.Integer(metadata={"description": "those of them that were answered 429"})
    this_hour = ma.fields.Integer(metadata={"description": "since the hour began"})
    minute_limit = ma.fields.Integer(metadata={"description": "of the organization's tier"})
    hour_limit = ma.fields.Integer(metadata={"description": "of the organization's tier"})


class JobsUsedSchema(Shape):
    """Jobs that were accepted, and how they stand."""

    accepted = ma.fields.Integer()
    ended = ma.fields.Integer(metadata={"description": "ran to their end"})
    failed = ma.fields.Integer(metadata={"description": "those of them that failed"})
    run_s = ma.fields.Float(metadata={"description": "how long they ran, also in vain"})
    waiting = ma.fields.Integer(allow_none=True, metadata={"description": "now; null while nobody can tell"})
    waiting_limit = ma.fields.Integer(metadata={"description": "of the organization's tier"})
    running = ma.fields.Integer(allow_none=True, metadata={"description": "now; null while nobody can tell"})
    running_limit = ma.fields.Integer(metadata={"description": "how many slots are its own, not only lent to it"})


class StorageUsedSchema(Shape):
    """What is stored now."""

    used_bytes = ma.fields.Integer()
    limit_bytes = ma.fields.Integer(metadata={"description": "of the organization's tier"})


class DayUsedSchema(Shape):
    """What was used on a day of UTC, or in the hours of it that were asked for."""

    date = ma.fields.String(metadata={"format": "date"})
    requests = ma.fields.Integer()
    refused = ma.fields.Integer()
    jobs = ma.fields.Integer(metadata={"description": "accepted"})
    failed = ma.fields.Integer()
    run_s = ma.fields.Float()
    rows = ma.fields.Integer(metadata={"description": "tickets that were written"})


class NearSchema(Shape):
    """A limit that is nearly reached."""

    figure = ma.fields.String(validate=ma.validate.OneOf(["requests_an_hour", "jobs_waiting", "storage_bytes"]))
    used = ma.fields.Integer()
    limit = ma.fields.Integer()
    share = ma.fields.Float()


class UsageSchema(Shape):
    """What an organization used, and has now."""

    range = ma.fields.Nested(UsageRangeSchema)
    requests = ma.fields.Nested(RequestsUsedSchema)
    jobs = ma.fields.Nested(JobsUsedSchema)
    storage = ma.fields.Nested(StorageUsedSchema)
    users = ma.fields.Integer(metadata={"description": "people of the organization now"})
    rows_written = ma.fields.Integer(metadata={"description": "tickets that jobs and people wrote"})
    days = ma.fields.List(
        ma.fields.Nested(DayUsedSchema), metadata={"description": "each day of the range, also those without any"}
    )
    warnings = ma.fields.List(
        ma.fields.Nested(NearSchema), metadata={"description": f"the limits of which {WARNS_AT:.0%} are used"}
    )
    counted_to = ma.fields.String(
        allow_none=True,
        metadata={"format": "date-time", "description": "what was used later is not in the sums yet"},
    )
    as_of = instant()


_DAY = {"requests": 812, "refused": 12, "jobs": 40, "failed": 1, "run_s": 95.25, "rows": 12000}
EXAMPLE: dict[str, Any] = {
    "range": {"from": "2026-01-31T00:00:00.000Z", "to": "2026-01-31T10:00:00.000Z"},
    "requests": {"total": 812, "refused": 12, "this_hour": 805, "minute_limit": 100, "hour_limit": 1000},
    "jobs": {
        "accepted": 40,
        "ended": 38,
        "failed": 1,
        "run_s": 95.25,
        "waiting": 2,
        "waiting_limit": 1000,
        "running": 0,
        "running_limit": 2,
    },
    "storage": {"used_bytes": 8_700_000_000, "limit_bytes": 10_737_418_240},
    "users": 7,
    "rows_written": 12000,
    "days": [{"date": "2026-01-31", **_DAY}],
    "warnings": [
        {"figure": "requests_an_hour", "used": 805, "limit": 1000, "share": 0.805},
        {"figure": "storage_bytes", "used": 8_700_000_000, "limit": 10_737_418_240, "share": 0.8102},
    ],
    "counted_to": "2026-01-31T09:29:52.000Z",
    "as_of": "2026-01-31T09:30:00.000Z",
}


@blueprint.route("/v1/analytics/usage", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(UsageQuery, location="query")
@blueprint.response(200, UsageSchema, example=EXAMPLE)
def get_usage(query: dict[str, Any]) -> Response:
    """Show what the organization uses of what its tier gives: sums of whole hours, and what stands now."""
    return replies.one(services().usage.of(caller().org_id, query["start"], query["end"]))
