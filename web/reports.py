"""Reports: what an organization's tickets and usage come to as a file, made by a job and kept for some days."""

from typing import Any, get_args

import marshmallow as ma
from flask import Response, redirect, request

from common.analytics import report_forms
from common.analytics.export_report import ExportReport, ReportFormat, ReportKind
from common.analytics.report_forms import MEDIA_TYPES
from common.analytics.reports import Report
from common.caller import Caller
from common.clock import rfc3339
from common.errors import Forbidden
from common.jobs.idempotency import Answer
from common.jobs.kind import encode
from common.jobs.record import JobRecord
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import caller, requires
from web.contract.contents import BINARY, RANGES, streamed
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump
from web.ticket_import_form import SOURCE_MAX_CHARS
from web.ticket_statistics import ZONE_MAX_CHARS, RangeSchema

blueprint = Blueprint("reports", __name__, tag="Analytics", scope="tickets")

URL_LASTS_S = 60
_CONTENTS = {media_type: {"schema": BINARY, "example": "…"} for media_type in MEDIA_TYPES.values()}
_RESPONSES: dict[Any, Any] = {
    **openapi.errors("range-not-satisfiable"),
    **{status: {"content": _CONTENTS} for status in (200, 206)},
}
_KIND = ma.validate.OneOf(get_args(ReportKind))
_FORMAT = ma.validate.OneOf(get_args(ReportFormat))
_USAGE_SCOPE = "organization:read"


class ReportForm(ma.Schema):
    """Which report, of which time, as which file."""

    report = ma.fields.String(
        required=True,
        data_key="kind",
        validate=_KIND,
        metadata={"description": "`tickets`: each of them; `overview`: the statistics as a page with pictures"},
    )
    format = ma.fields.String(
        required=True,
        validate=_FORMAT,
        metadata={"description": "an `overview` is `html`; the others are `json`, `csv` or `xlsx`"},
    )
    start = Instant(required=True, data_key="from", metadata={"description": "from this instant on"})
    end = Instant(required=True, data_key="to", metadata={"description": "up to before this instant"})
    tz = ma.fields.String(
        load_default="UTC",
        validate=ma.validate.Length(1, ZONE_MAX_CHARS),
        metadata={"description": "the zone of days and hours of `statistics` and `overview`, by its IANA name"},
    )
    source_id = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.Length(1, SOURCE_MAX_CHARS),
        metadata={"description": "tickets of this source only"},
    )


class ReportSchema(Shape):
    """A report; its content can be had until it expires."""

    id = ma.fields.String()
    kind = ma.fields.String(validate=_KIND)
    format = ma.fields.String(validate=_FORMAT)
    range = ma.fields.Nested(RangeSchema)
    tz = ma.fields.String()
    source_id = ma.fields.String(allow_none=True)
    filename = ma.fields.String()
    rows = ma.fields.Integer()
    size_bytes = ma.fields.Integer()
    sha256 = ma.fields.String()
    created_at = instant()
    expires_at = instant()
    links = links()


_ASKED: dict[str, Any] = {
    "kind": "tickets",
    "format": "csv",
    "from": "2026-01-01T00:00:00.000Z",
    "to": "2026-02-01T00:00:00.000Z",
    "tz": "UTC",
    "source_id": None,
}
_EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "kind": "tickets",
    "format": "csv",
    "range": {"from": "2026-01-01T00:00:00.000Z", "to": "2026-02-01T00:00:00.000Z"},
    "tz": "UTC",
    "source_id": None,
    "filename": "tickets-2026-01-01-2026-02-01.csv",
    "rows": 12345,
    "size_bytes": 4194304,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-02-01T09:30:00.000Z",
    "expires_at": "2026-02-08T09:30:00.000Z",
    "links": {
        "self": "/v1/analytics/reports/01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
        "content": "/v1/analytics/reports/01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f/content",
    },
}


@blueprint.route("/v1/analytics/reports", methods=["POST"])
@requires("admin", "member")
@blueprint.arguments(ReportForm, example=_ASKED)
@blueprint.response(202, JobSchema, example=ACCEPTED_EXAMPLE | {"kind": ExportReport.name})
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def make_report(form: dict[str, Any]) -> Response:
    """Write a report; the job's result links it. A hundred are kept, each until it expires."""
    who, job = caller(), ExportReport(**form)
    report_forms.check(job)
    _refuse_beyond_scopes(who, job)
    used = once("reports.make", scope=who.org_id, request_parts=[encode(job)], answer=_accepted)
    record = services().submit(who, job, once=used)
    return replies.one(dump(record), status=202, headers=accepted_headers(record))


@blueprint.route("/v1/analytics/reports", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(ReportSchema, "ReportPage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_reports(query: dict[str, Any]) -> Response:
    """List the organization's reports that have not expired, the newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().reports.page(who.org_id, before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=_shown, place=lambda one: one.report_id)


@blueprint.route("/v1/analytics/reports/<id:report_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, ReportSchema, example=_EXAMPLE)
def get_report(report_id: str) -> Response:
    """Show a report."""
    return replies.one(_shown(services().reports.get(caller().org_id, report_id)))


@blueprint.route("/v1/analytics/reports/<id:report_id>/content", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, BINARY, content_type=MEDIA_TYPES["csv"], example="…")
@blueprint.alt_response(206, schema=BINARY, content_type=MEDIA_TYPES["csv"], example="…")
@blueprint.alt_response(304, description="The caller has it already")
@blueprint.alt_response(307, description="Where the bytes are to be had, for a minute, without credentials")
@blueprint.doc(parameters=RANGES, responses=_RESPONSES)
def download_report(report_id: str) -> Response:
    """Download a report. Ranges are served, so that a download can be resumed; the ETag is the content's hash."""
    report = services().reports.get(caller().org_id, report_id)
    _refuse_beyond_scopes(caller(), report)
    media_type = MEDIA_TYPES[report.format]
    elsewhere = None
    if request.method == "GET":  # an address is worth the bytes, so who looks at the headers gets none
        elsewhere = services().blobs.url(
            report.blob_id, filename=report.filename, media_type=media_type, inline=False, lasts_s=URL_LASTS_S
        )
    if elsewhere is not None:
        return redirect(elsewhere, 307)  # type: ignore[return-value]
    return streamed(
        report.blob_id,
        report.filename,
        size_bytes=report.size_bytes,
        sha256=report.sha256,
        media_type=media_type,
        created_at=report.created_at,
    )


@blueprint.route("/v1/analytics/reports/<id:report_id>", methods=["DELETE"])
@requires("admin", "member")
@blueprint.response(204, description="It is gone, with its bytes")
def delete_report(report_id: str) -> Response:
    """Delete a report."""
    services().reports.delete(caller().org_id, report_id)
    return Response(status=204)


def _refuse_beyond_scopes(who: Caller, one: ExportReport | Report) -> None:
    """Keep an API key that may see tickets only from the organization's usage. Raises `Forbidden`."""
    if one.report == "usage" and who.scopes is not None and _USAGE_SCOPE not in who.scopes:
        raise Forbidden(f"This API key lacks the scope {_USAGE_SCOPE}.")


def _accepted(record: JobRecord) -> Answer:
    return Answer(202, dump(record), accepted_headers(record))


def _shown(report: Report) -> dict[str, Any]:
    here = f"/v1/analytics/reports/{report.report_id}"
    return {
        "id": report.report_id,
        "kind": report.report,
        "format": report.format,
        "range": {"from": rfc3339(report.start), "to": rfc3339(report.end)},
        "tz": report.tz,
        "source_id": report.source_id,
        "filename": report.filename,
        "rows": report.rows,
        "size_bytes": report.size_bytes,
        "sha256": report.sha256,
        "created_at": rfc3339(report.created_at),
        "expires_at": rfc3339(report.expires_at),
        "links": {"self": here, "content": f"{here}/content"},
    }
