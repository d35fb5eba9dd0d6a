"""Sources: the outside APIs that tickets are ingested from."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from common.jobs.idempotency import Answer
from common.sources.source import Source
from common.sources.standing import Standing, of_new, standings
from web.contract import idempotency, openapi, paging, preconditions, replies
from web.contract.authentication import caller, requires
from web.contract.idempotency import once
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.source_bodies import EXAMPLES, NewSource, SourceChange, asked_draft, asked_fields
from web.source_document import SOURCE_EXAMPLE, SourcePage, SourceSchema, etag_of, shown_source

blueprint = Blueprint("sources", __name__, tag="Sources", scope="tickets")

_MADE_EXAMPLE = SOURCE_EXAMPLE | {"last_run": None, "next_run_at": "2026-01-31T09:30:00.000Z"}


@blueprint.route("/v1/sources", methods=["POST"])
@requires("admin")
@blueprint.arguments(NewSource, examples=EXAMPLES)
@blueprint.response(201, SourceSchema, example=_MADE_EXAMPLE)
@blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))
def add_source(asked: dict[str, Any]) -> Response:
    """Set up a source. Nothing is read until a run is started, by hand or by its interval."""
    who, draft, credentials = caller(), asked_draft(asked), asked.get("credentials") or {}

    def made(source: Source) -> Answer:
        body = shown_source(of_new(source, sorted(credentials)))
        headers = {"Location": f"/v1/sources/{source.source_id}", "ETag": f'"{etag_of(source, body)}"'}
        return Answer(201, body, headers)

    used = once("sources.add", scope=who.org_id, request_parts=asked, answer=made)
    answer = made(services().sources.create(who, draft, credentials, once=used))
    return replies.one(answer.body, status=answer.status, headers=answer.headers)


@blueprint.route("/v1/sources", methods=["GET"])
@requires("admin", "member")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, SourcePage, example={"items": [SOURCE_EXAMPLE], "next_cursor": None})
def list_sources(query: dict[str, Any]) -> Response:
    """List the organization's sources, the newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().sources.page(who.org_id, before=before, limit=query["limit"] + 1)
    return paging.page(who, query, _standings(found), dump=shown_source, place=lambda one: one.source.source_id)


@blueprint.route("/v1/sources/<id:source_id>", methods=["GET"])
@requires("admin", "member")
@blueprint.response(200, SourceSchema, example=SOURCE_EXAMPLE)
def get_source(source_id: str) -> Response:
    """Show a source, with the run that goes on, the last one, and when the next one comes."""
    return _answer(services().sources.get(caller().org_id, source_id))


@blueprint.route("/v1/sources/<id:source_id>", methods=["PATCH"])
@requires("admin")
@blueprint.arguments(SourceChange)
@blueprint.response(200, SourceSchema, example=SOURCE_EXAMPLE)
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("conflict", "precondition-failed"))
def change_source(asked: dict[str, Any], source_id: str) -> Response:
    """Change a source. Another host is not shown the credentials of the one before: send them along.

    With another address or config the next run reads everything; while a run goes on, they can't be changed.
    """
    who = caller()
    revision = _revision_meant(services().sources.get(who.org_id, source_id))
    credentials = (asked["credentials"] or {}) if "credentials" in asked else None
    changed = services().sources.change(
        who, source_id, asked_fields(asked), credentials=credentials, revision=revision
    )
    return _answer(changed)


@blueprint.route("/v1/sources/<id:source_id>", methods=["DELETE"])
@requires("admin")
@blueprint.response(204, description="Its credentials are gone, and its run is asked to stop; its tickets stay")
@blueprint.doc(parameters=[preconditions.TAKEN], responses=openapi.errors("precondition-failed"))
def delete_source(source_id: str) -> Response:
    """Delete a source."""
    who = caller()
    revision = _revision_meant(services().sources.get(who.org_id, source_id))
    services().sources.delete(who, source_id, revision=revision)
    return Response(status=204)


def _answer(source: Source) -> Response:
    (standing,) = _standings([source])
    body = shown_source(standing)
    return replies.one(body, version=etag_of(source, body))


def _standings(found: Sequence[Source]) -> list[Standing]:
    made = services()
    return standings(made.scope(caller().org_id), made.runs, made.ingestion_logs, found)


def _revision_meant(found: Source) -> int | None:
    """Return the revision that the caller's change is for, or `None` for whichever it is.

    What is shown of a source has its runs in it: those that came and went since leave an ETag good here. Raises
    `Stale` or `Invalid` like `preconditions.matches`.
    """
    begins = f"{found.version}."
    meant = next((tag for tag in request.if_match.as_set() if tag.startswith(begins)), found.version)
    return found.revision if preconditions.matches(meant) else None
